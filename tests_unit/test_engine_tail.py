"""The written-out layers say what transformers' layers under autograd say, gradient included."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from editsuite.cards import FAMILIES, LoadedModel, tiny_model
from editsuite.engine import Asked, DecoderStack, LayerCache, Places, Tail, sight, written_out
from editsuite.engine.seats import Seats

WRITTEN_OUT = ["llama", "mistral", "qwen2"]


@cache
def model_of(architecture: str, window: int | None = None) -> LoadedModel:
    loaded = tiny_model(architecture, 3)
    random = torch.Generator().manual_seed(4)
    for parameter in loaded.model.parameters():  # norms of one and biases of zero hide mistakes
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=random)
    if window is not None:
        loaded.model.config.sliding_window = window
    return loaded


def general(
    stack: DecoderStack, start: int, asked: Asked, earlier: Places, cache: LayerCache, x: Tensor
) -> tuple[Tensor, Tensor]:
    keys = earlier.then(asked.places)
    out = stack.run(
        x[None],
        start=start,
        stop=stack.depth,
        positions=asked.places.position[None],
        mask=sight(asked.places, keys),
        key_positions=keys.position[None],
        cache=cache,
    )
    log_probs = stack.logits(out[0][asked.read]).log_softmax(dim=-1)
    return log_probs[:-1].gather(1, asked.wanted[:, None])[:, 0], log_probs[-1]


@st.composite
def layouts(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Tokens before and tokens run of up to five sequences."""
    return draw(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 6)), min_size=1, max_size=5))


@pytest.mark.parametrize(
    ("architecture", "window"), [*((name, None) for name in WRITTEN_OUT), ("mistral", 3)]
)
@settings(max_examples=15)
@given(lengths=layouts(), start=st.integers(1, 3), seed=st.integers(0, 99))
def test_values_and_gradient_are_those_of_autograd(
    architecture: str, window: int | None, lengths: list[tuple[int, int]], start: int, seed: int
) -> None:
    stack = DecoderStack(model_of(architecture, window))
    random = torch.Generator().manual_seed(seed)
    earlier = Places.of([(0, before) for before, _ in lengths], stack.device)
    later = Places.of(lengths, stack.device)
    prefix = LayerCache(grow=True)
    if len(earlier):
        stack.run(
            torch.randn(1, len(earlier), 32, generator=random),
            start=start,
            stop=stack.depth,
            positions=earlier.position[None],
            mask=sight(earlier, earlier),
            key_positions=earlier.position[None],
            cache=prefix,
        )
    prefix = prefix.frozen()
    number = int(torch.randint(1, len(later) + 1, (), generator=random))
    read = torch.randperm(len(later), generator=random)[:number]
    wanted = torch.randint(0, 300, (number - 1,), generator=random)
    asked = Asked(later, read, wanted)
    x = torch.randn(len(later), 32, generator=random)
    weights = torch.randn(number - 1, generator=random), torch.randn(300, generator=random)

    assert written_out(stack, start)
    results = []
    for way in (
        Tail(stack, start, asked, earlier, prefix),
        lambda y: general(stack, start, asked, earlier, prefix, y),
    ):
        given_x = x.clone().requires_grad_()
        said = way(given_x)
        loss = sum((w * s).sum() for w, s in zip(weights, said, strict=True))
        (gradient,) = torch.autograd.grad(torch.as_tensor(loss), given_x)
        results.append((*said, gradient))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("architecture", WRITTEN_OUT)
def test_the_gradient_is_the_slope(architecture: str) -> None:
    """In float64, against differences of the loss itself."""
    loaded = tiny_model(architecture, 3)
    loaded.model.double()
    tail, x = one_step(DecoderStack(loaded))
    x = x.detach().double().requires_grad_()

    def loss(y: Tensor) -> Tensor:
        wanted, last = tail(y)
        return wanted.sum() - 0.3 * last[:7].sum()

    (gradient,) = torch.autograd.grad(loss(x), x)
    random, step = torch.Generator().manual_seed(5), 1e-5
    for _ in range(5):
        along = torch.randn(x.shape, generator=random).double()
        with torch.no_grad():
            slope = (loss(x + step * along) - loss(x - step * along)) / (2 * step)
        assert float((gradient * along).sum()) == pytest.approx(float(slope), rel=1e-6)


@given(lengths=layouts())
def test_a_token_comes_back_from_its_seat(lengths: list[tuple[int, int]]) -> None:
    places = Places.of(lengths, torch.device("cpu"))
    seats = Seats.of(places, len(lengths))
    x = torch.arange(1.0, len(places) + 1)[:, None] * torch.ones(3)
    for grid in (seats.spread(x), seats.spread_zeros(x)):
        assert grid.shape == (len(lengths), max(length for _, length in lengths), 3)
        assert torch.equal(seats.gather(grid), x)
    empty = seats.position.flatten() < 0
    assert not seats.spread_zeros(x).flatten(0, 1)[empty].any()
    assert torch.equal(seats.position.flatten()[seats.seat], places.position)


def one_step(stack: DecoderStack) -> tuple[Tail, Tensor]:
    places = Places.of([(0, 4), (0, 3)], stack.device)
    asked = Asked(places, torch.tensor([3, 6]), torch.tensor([5]))
    nothing = Places.of([], stack.device)
    tail = Tail(stack, 1, asked, nothing, LayerCache(grow=False))
    x = torch.randn(7, 32, generator=torch.Generator().manual_seed(0))
    return tail, x.requires_grad_()


def test_a_gradient_is_taken_once() -> None:
    tail, x = one_step(DecoderStack(model_of("llama")))
    wanted, _ = tail(x)
    loss = wanted.sum()
    torch.autograd.grad(loss, x, retain_graph=True)
    with pytest.raises(RuntimeError, match="run it again"):
        torch.autograd.grad(loss, x)


def test_two_passes_do_not_disturb_each_other() -> None:
    tail, x = one_step(DecoderStack(model_of("llama")))
    other = x.detach().flip(0).requires_grad_()
    alone = torch.autograd.grad(tail(x)[0].sum(), x)[0]
    first, _ = tail(x)
    tail(other)
    assert torch.equal(torch.autograd.grad(first.sum(), x)[0], alone)


def test_bits_do_not_depend_on_threads() -> None:
    """At the default model's width and vocabulary: there torch divides its work among threads."""
    loaded = tiny_model("llama", n_layers=3, hidden_size=576, vocab_size=49_152)
    stack = DecoderStack(loaded)
    places = Places.of([(0, 150), (0, 160)], stack.device)
    read = torch.tensor([*range(40, 60), *range(200, 220), 309])
    asked = Asked(places, read, torch.arange(7, 47))
    tail = Tail(stack, 1, asked, Places.of([], stack.device), LayerCache(grow=False))
    random = torch.Generator().manual_seed(0)
    x = torch.randn(310, 576, generator=random).requires_grad_()
    weights = torch.randn(49_152, generator=random)
    before = torch.get_num_threads()
    seen = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            wanted, last = tail(x)
            (gradient,) = torch.autograd.grad(wanted.sum() + (weights * last).sum(), x)
            seen.append(torch.cat([wanted, last, gradient.flatten()]).detach())
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(seen[0], other) for other in seen[1:])


# --- where it is not taken ---------------------------------------------------------------------


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_only_the_kinds_that_are_written_out(architecture: str) -> None:
    stack = DecoderStack(tiny_model(architecture))
    assert written_out(stack, 1) is (architecture in WRITTEN_OUT)


def test_not_in_another_precision() -> None:
    loaded = tiny_model("llama")
    loaded.model.to(torch.bfloat16)
    assert not written_out(DecoderStack(loaded), 1)


@pytest.fixture
def changed(request: pytest.FixtureRequest) -> DecoderStack:
    loaded = tiny_model("llama")
    layer: Any = loaded.model.get_submodule("model.layers.2")
    if request.param == "hook":
        layer.mlp.register_forward_hook(lambda *_: None)
    elif request.param == "linear":
        layer.mlp.down_proj = nn.Sequential(layer.mlp.down_proj)
    elif request.param == "activation":
        layer.mlp.act_fn = nn.GELU()
    elif request.param == "norm":
        layer.input_layernorm = nn.LayerNorm(32)
    elif request.param == "forward":
        layer.self_attn.forward = layer.self_attn.forward
    return DecoderStack(loaded)


@pytest.mark.parametrize(
    "changed", ["hook", "linear", "activation", "norm", "forward"], indirect=True
)
def test_not_where_somebody_changed_a_module(changed: DecoderStack) -> None:
    assert not written_out(changed, 1)
    assert written_out(changed, 3), "the last layer is as it was"
