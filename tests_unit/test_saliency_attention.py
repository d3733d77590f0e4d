"""Saliency of attention: against transformers all at once, finite differences, and its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from saliency_ import (
    ARCHITECTURES,
    IDS,
    Push,
    own_saliency,
    plain_loss,
    plain_saliency,
    pushed,
)
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from editsuite.cards import LoadedModel, tiny_model
from editsuite.engine import DecoderStack, ResumeCache, Ways
from editsuite.errors import MeasureError
from editsuite.measures.saliency import attention
from editsuite.measures.saliency.attention import trace
from editsuite.measures.saliency.loss import LabelLoss

pytestmark = pytest.mark.usefixtures("one_thread")

WAYS = pytest.mark.parametrize("by_layer", [False, True], ids=["whole", "by layer"])


@cache
def loaded_of(architecture: str) -> LoadedModel:
    return tiny_model(architecture, 3)


@cache
def double_of(architecture: str) -> LoadedModel:
    loaded = tiny_model(architecture, 4)
    module: nn.Module = loaded.model
    module.double()
    return loaded


def assert_near(ours: list[Tensor], twin: list[Tensor], rel: float) -> None:
    assert len(ours) == len(twin)
    for layer, (a, b) in enumerate(zip(ours, twin, strict=True)):
        assert a.shape == b.shape
        assert float(b.max()) > 0, f"layer {layer} shows nothing"
        assert float((a - b).abs().max()) <= rel * float(b.max()), f"layer {layer}"


# --- against transformers ----------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_saliency_is_transformers_all_at_once(architecture: str, by_layer: bool) -> None:
    loaded = loaded_of(architecture)
    ours = own_saliency(DecoderStack(loaded), by_layer=by_layer)
    assert_near(ours, plain_saliency(loaded), rel=1e-4)
    for layer in ours:
        assert bool((layer.triu(1) == 0).all()), "a token takes nothing from later ones"


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "llama"])
def test_in_float64_the_two_agree_to_more_digits(architecture: str) -> None:
    loaded = double_of(architecture)
    assert_near(own_saliency(DecoderStack(loaded)), plain_saliency(loaded), rel=1e-6)


@settings(max_examples=15)
@given(st.sampled_from(ARCHITECTURES), st.lists(st.integers(0, 255), min_size=2, max_size=30))
def test_one_layers_graph_at_a_time_gives_the_same_bits(architecture: str, ids: list[int]) -> None:
    stack = DecoderStack(loaded_of(architecture))
    whole = own_saliency(stack, ids, by_layer=False)
    for a, b in zip(whole, own_saliency(stack, ids, by_layer=True), strict=True):
        assert torch.equal(a, b)


def test_a_sliding_window_lets_nothing_through() -> None:
    loaded = tiny_model("mistral", 5)
    config: Any = loaded.model.config
    config.sliding_window = 6
    for layer in own_saliency(DecoderStack(loaded)):
        assert bool((layer.tril(-6) == 0).all())
        assert bool((layer.tril(-1) > 0).any())


# --- finite differences ------------------------------------------------------------------------


@contextmanager
def perturbed(monkeypatch: pytest.MonkeyPatch, layer: int, change: Tensor) -> Iterator[None]:
    """Within, ``change`` is added to a layer's attention behind its softmax.

    Dropout is the one function that every architecture puts the matrix through before it is used.
    """
    plain, seen = nn.functional.dropout, [0]

    def dropout(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if x.dim() == 4 and x.shape[-2:] == change.shape[-2:]:
            seen[0] += 1
            if seen[0] == layer + 1:
                return x + change
        return plain(x, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(nn.functional, "dropout", dropout)
        yield
    assert seen[0] >= layer + 1, "no attention matrix came by"


def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have transformers compute in the model's precision where it goes down to float32."""

    def norm(self: Any, x: Tensor) -> Tensor:
        spread = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * (x * spread)

    monkeypatch.setattr(LlamaRMSNorm, "forward", norm)
    monkeypatch.setattr(nn.functional, "softmax", lambda x, dim, dtype=None: torch.softmax(x, dim))


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "llama"])
def test_saliency_is_that_of_finite_differences(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``A dL/dA`` with the derivative from two losses, head by head, summed as equation 5 says."""
    in_float64(monkeypatch)
    loaded, step = double_of(architecture), 1e-4
    ours = own_saliency(DecoderStack(loaded))
    last, heads = len(IDS) - 1, 4
    places = [(last, 5), (last, last), (20, 3), (20, 20), (1, 0)]
    with torch.no_grad():
        _, out = plain_loss(loaded, IDS)
        for layer, matrix in enumerate(out.attentions):
            for i, j in places:
                total = 0.0
                for head in range(heads):
                    losses = []
                    for sign in (1, -1):
                        change = torch.zeros_like(matrix)
                        change[0, head, i, j] = sign * step
                        with perturbed(monkeypatch, layer, change):
                            losses.append(float(plain_loss(loaded, IDS)[0]))
                    slope = (losses[0] - losses[1]) / (2 * step)
                    total += float(matrix[0, head, i, j]) * slope
                expected = float(ours[layer][i, j])
                assert abs(total) == pytest.approx(expected, rel=1e-4, abs=1e-11), (layer, i, j)


# --- what a state carries ----------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gptj"])
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_an_adapter_is_seen_as_by_a_hook_on_the_last_token(
    architecture: str, layer: int, by_layer: bool
) -> None:
    loaded = loaded_of(architecture)
    stack = DecoderStack(loaded)
    adapter = Push(layer, loaded.family.down_proj)
    bare = own_saliency(stack, by_layer=by_layer)
    with stack.adapted(adapter):
        ours = own_saliency(stack, by_layer=by_layer)
    with pushed(loaded, adapter):
        assert_near(ours, plain_saliency(loaded), rel=1e-4)
    assert any(not torch.equal(a, b) for a, b in zip(bare, ours, strict=True))


def test_an_edited_weight_is_seen_and_taken_off_again() -> None:
    loaded = tiny_model("llama", 6)
    stack, weight = DecoderStack(loaded), loaded.down_proj_weight(1)
    before, kept = own_saliency(stack), weight.detach().clone()
    with torch.no_grad():
        weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    edited = own_saliency(stack)
    assert_near(edited, plain_saliency(loaded), rel=1e-4)
    assert not torch.equal(before[0], edited[0]), "gradients come down through the edit"
    with torch.no_grad():
        weight.copy_(kept)
    assert all(torch.equal(a, b) for a, b in zip(before, own_saliency(stack), strict=True))


def test_states_kept_for_other_measures_change_nothing() -> None:
    stack = DecoderStack(loaded_of("llama"))
    before = own_saliency(stack)
    with stack.resumed(ResumeCache(2, ("tiny",))):
        after = own_saliency(stack)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_engines_products_and_torchs_agree() -> None:
    loaded = loaded_of("llama")
    slow = own_saliency(DecoderStack(loaded, ways=Ways(fast_linear=False)))
    assert_near(own_saliency(DecoderStack(loaded)), slow, rel=1e-5)


# --- memory, and what is left behind -----------------------------------------------------------


class Held:
    """A tensor that a graph keeps, counted while it does."""

    now = most = 0

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.size = tensor, tensor.numel()
        Held.now += self.size
        Held.most = max(Held.most, Held.now)

    def __del__(self) -> None:
        Held.now -= self.size


def most_held(layers: int, *, by_layer: bool) -> int:
    """Numbers in attention matrices that graphs hold at once, at most."""
    stack, width = DecoderStack(tiny_model("gpt2", n_layers=layers)), len(IDS)

    def pack(tensor: Tensor) -> object:
        return Held(tensor) if tensor.shape[-2:] == (width, width) else tensor

    def unpack(kept: object) -> Tensor:
        tensor = kept.tensor if isinstance(kept, Held) else kept
        assert isinstance(tensor, Tensor)
        return tensor

    Held.now = Held.most = 0
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        own_saliency(stack, by_layer=by_layer)
    assert Held.now == 0, "a graph outlives the pass"
    return Held.most


def test_by_layer_no_more_than_one_layers_matrices_are_held() -> None:
    one = most_held(1, by_layer=True)
    assert one > 0
    assert most_held(8, by_layer=True) == one
    assert most_held(8, by_layer=False) >= 8 * one


def test_a_large_graph_is_not_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = DecoderStack(loaded_of("gpt2"))
    taken: list[str] = []

    def note(name: str) -> None:
        plain = getattr(attention, name)

        def noted(*args: Any) -> Any:
            taken.append(name)
            return plain(*args)

        monkeypatch.setattr(attention, name, noted)

    note("_backward")
    note("_backward_by_layer")
    own_saliency(stack)
    monkeypatch.setattr(attention, "CPU_GRAPH", 1000)
    own_saliency(stack)
    assert taken == ["_backward", "_backward_by_layer"]


@WAYS
def test_nothing_is_left_in_the_model(by_layer: bool) -> None:
    loaded = tiny_model("llama", 7)  # transformers leaves hooks of its own behind in the others
    model: Any = loaded.model
    module = loaded.layer(1).get_submodule(loaded.family.attention)
    way = model.config._attn_implementation
    assert way != "eager"

    def fail(_: Tensor) -> Tensor:
        assert len(module._forward_hooks) == 1
        assert model.config._attn_implementation == "eager"
        raise ZeroDivisionError

    stack = DecoderStack(loaded)
    with pytest.raises(ZeroDivisionError):
        trace(stack, IDS, fail, lambda saliency: saliency, by_layer=by_layer)
    own_saliency(stack, by_layer=by_layer)
    assert not module._forward_hooks
    assert model.config._attn_implementation == way
    assert all(p.grad is None and not p.requires_grad for p in model.parameters())
    assert torch.is_grad_enabled()


def test_a_pass_without_matrices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = DecoderStack(loaded_of("llama"))
    model: Any = stack.loaded.model
    monkeypatch.setattr(model, "set_attn_implementation", lambda name: None)
    with pytest.raises(MeasureError, match="layer 0 of tiny-llama-3: LlamaAttention gives no"):
        own_saliency(stack)


def test_within_no_grad_it_works_all_the_same() -> None:
    stack = DecoderStack(loaded_of("llama"))
    before = own_saliency(stack)
    with torch.no_grad():
        after = own_saliency(stack)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


# --- the loss ----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.floats(-30, 30), min_size=6, max_size=6), st.integers(0, 2))
def test_direction_times_scale_is_the_gradient_of_cross_entropy(
    values: list[float], right: int
) -> None:
    logits = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    loss = LabelLoss((4, 0, 3), right)
    whole = nn.functional.cross_entropy(logits[[4, 0, 3]][None], torch.tensor([right]))
    (grad,) = torch.autograd.grad(whole, logits)
    found = loss.scale(logits.detach()) * loss.direction(logits.detach())
    assert loss.value(logits.detach()) == pytest.approx(whole.item(), abs=1e-9)
    assert found.tolist() == pytest.approx(grad.tolist(), rel=1e-9, abs=1e-12)


def test_a_sure_model_still_has_a_direction() -> None:
    logits = torch.tensor([0.0, 300.0, 7.0])
    loss = LabelLoss((0, 1), 1)
    assert loss.direction(logits).tolist() == [1.0, -1.0, 0.0]
    assert loss.scale(logits) == pytest.approx(5.148200222412013e-131, rel=1e-9)
