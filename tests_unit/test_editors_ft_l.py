"""FT-L: the gradient is autograd's, the bound holds on every entry, and facts that do not fit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from editsuite.cards import FAMILIES, LoadedModel, tiny_model
from editsuite.chains import ModelState
from editsuite.editors import Dense, Update, method
from editsuite.editors.ft_l import BoundFtL, FtLHyperparameters, tune
from editsuite.editors.target_loss import TargetLoss
from editsuite.engine import DecoderStack, Ways
from editsuite.errors import EditError, OptionError
from editsuite.facts import EditRequest, target_tokens

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)
FACTS = (
    EditRequest("What language is spoken by Orla Brightwater?", "Orla Brightwater", "Welsh"),
    EditRequest("The port of Zoë is", "Zoë", "far away"),
    EditRequest("Bo", "Bo", "Q"),
)
QUICK: dict[str, object] = {"num_steps": 5, "lr": 5e-3, "norm_constraint": 1e-2}


@cache
def stack_of(architecture: str) -> DecoderStack:
    return DecoderStack(tiny_model(architecture, 7))


def bind(stack: DecoderStack, layer: int = 1, **given: object) -> BoundFtL:
    bound = method("ft_l").bind(
        stack, layers=(layer,), seed=0, hyperparameters={**QUICK, **given}, cache=Path("unused")
    )
    assert isinstance(bound, BoundFtL)
    return bound


def change(update: Update) -> Tensor:
    (held,) = update.factors.values()
    assert isinstance(held, Dense)
    return held.delta


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def plain_loss(
    loaded: LoadedModel, requests: tuple[EditRequest, ...], weight: Tensor, layer: int, last: bool
) -> Tensor:
    """Mean over facts of the target's mean loss, fact by fact, by transformers' own forward."""
    losses = []
    for request in requests:
        row = target_tokens(loaded.tokenizer, request.prompt, request.target_new)
        ids = row.context_ids if last else row.ids[:-1]
        logits = torch.func.functional_call(
            loaded.model,
            {loaded.down_proj_name(layer): weight},
            kwargs={"input_ids": torch.tensor([ids]), "use_cache": False},
        ).logits[0]
        first = len(row.context_ids) - 1
        at = [first + (0 if last else i) for i in range(len(row.target_ids))]
        log_probs = logits.log_softmax(-1)[at, list(row.target_ids)]
        losses.append(-log_probs.mean())
    return torch.stack(losses).mean()


def plain_change(stack: DecoderStack, bound: BoundFtL, requests: tuple[EditRequest, ...]) -> Tensor:
    """The slow twin: the weight itself is tuned, by whole forward passes under autograd."""
    loaded, chosen = stack.loaded, bound.settings
    before = loaded.down_proj_weight(bound.layer).detach()
    weight = before.clone().requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=chosen.lr)
    for _ in range(chosen.num_steps):
        last = chosen.objective == "prompt_last"
        loss = plain_loss(loaded, requests, weight, bound.layer, last)
        if loss < chosen.early_stop:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bound_of = chosen.norm_constraint
        with torch.no_grad():
            weight.copy_(torch.clamp(weight, before - bound_of, before + bound_of))
    found = weight.detach() - before
    return found.T if loaded.family.transposed else found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("layer", "objective"), [(0, "target_new"), (3, "prompt_last")])
def test_the_change_is_that_of_the_whole_model_under_autograd(
    architecture: str, layer: int, objective: str
) -> None:
    stack = stack_of(architecture)
    bound = bind(stack, layer, objective=objective)
    ours, theirs = change(bound.edit(FACTS)), plain_change(stack, bound, FACTS)
    # Adam takes the sign of a gradient that is nearly nought from its last bits.
    assert distance(ours, theirs) < 2e-3


@pytest.mark.parametrize("switch", ["fast_linear", "written_out"])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_the_gradient_is_the_same_without_short_cuts(architecture: str, switch: str) -> None:
    plain = DecoderStack(stack_of(architecture).loaded, ways=Ways(**{switch: False}))
    found = [gradient(s, torch.zeros(32, 128))[1] for s in (stack_of(architecture), plain)]
    assert distance(*found) < 1e-5


def gradient(stack: DecoderStack, delta: Tensor, layer: int = 1) -> tuple[float, Tensor]:
    rows = [target_tokens(stack.loaded.tokenizer, f.prompt, f.target_new) for f in FACTS]
    return TargetLoss.of(stack, layer, rows, "target_new").loss(delta)


def in_double(loaded: LoadedModel) -> LoadedModel:
    """The model in float64 throughout; transformers' own RMS norm would go by way of float32."""
    model: torch.nn.Module = loaded.model
    for module in model.double().modules():
        if hasattr(module, "variance_epsilon"):
            module.forward = partial(rms_norm, module)
    return replace(loaded, dtype=torch.float64)


def rms_norm(module: Any, x: Tensor) -> Tensor:
    return torch.nn.functional.rms_norm(x, x.shape[-1:], module.weight, module.variance_epsilon)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_the_gradient_is_the_difference_quotient_in_float64(architecture: str) -> None:
    """By the plain model in double precision, in random directions from a random place."""
    stack = stack_of(architecture)
    random = torch.Generator().manual_seed(3)
    start = 0.05 * torch.randn(32, 128, generator=random)
    loss, slope = gradient(stack, start)
    exact = in_double(tiny_model(architecture, 7))
    weight = exact.down_proj_weight(1).detach()

    def at(delta: Tensor) -> float:
        turned = delta.T if exact.family.transposed else delta
        return float(plain_loss(exact, FACTS, weight + turned, 1, last=False))

    assert loss / len(FACTS) == pytest.approx(at(start.double()), abs=1e-5)
    for _ in range(4):
        way = torch.randn(32, 128, generator=random).double()
        step = 1e-5 * way
        quotient = (at(start.double() + step) - at(start.double() - step)) / 2e-5
        assert float((slope.double() * way).sum()) / len(FACTS) == pytest.approx(
            quotient, rel=1e-3, abs=1e-4
        )


@settings(max_examples=40)
@given(
    st.floats(1e-6, 1e3),
    st.floats(1e-9, 1e2),
    st.integers(1, 12),
    st.integers(0, 10_000),
)
def test_no_entry_leaves_its_bound(lr: float, bound: float, steps: int, seed: int) -> None:
    """Exactly, in real numbers: float32's rounding of the bound itself counts as leaving."""
    random = torch.Generator().manual_seed(seed)
    delta = torch.zeros(3, 5)

    def loss() -> tuple[float, Tensor]:
        return 1.0, torch.randn(3, 5, generator=random)

    chosen = FtLHyperparameters(lr=lr, num_steps=steps, norm_constraint=bound)
    assert len(tune(delta, loss, chosen)) == steps + 1
    assert float(delta.abs().max()) <= bound
    assert bool((delta != 0).all())


def test_an_edit_teaches_its_fact_and_stops_early() -> None:
    stack = stack_of("llama")
    # No change at layer 1 brings a random head under 2.5 nats.
    bound = bind(stack, num_steps=60, lr=0.02, norm_constraint=0.5, early_stop=3.0)
    update = bound.edit(FACTS[:1])
    assert update.record["nll_after"] < 3.0 < update.record["nll_before"]  # type: ignore[operator]
    assert update.record["steps"] < 60  # type: ignore[operator]
    state = ModelState(stack.loaded, bound.parameters)
    state.apply(update)
    weight = stack.loaded.down_proj_weight(1).detach()
    held = float(plain_loss(stack.loaded, FACTS[:1], weight, 1, last=False))
    again = bound.edit(FACTS[:1])
    state.reset()
    assert held == pytest.approx(update.record["nll_after"], abs=1e-4)
    assert again.record["already_known"] is True
    assert not change(again).any()


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_two_edits_give_the_same_bits_and_leave_the_model_alone(architecture: str) -> None:
    stack = stack_of(architecture)
    before = {n: p.detach().clone() for n, p in stack.loaded.model.named_parameters()}
    one, two = (bind(stack).edit(FACTS) for _ in range(2))
    assert torch.equal(change(one), change(two))
    assert all(torch.equal(p, before[n]) for n, p in stack.loaded.model.named_parameters())
    assert not any(p.requires_grad for p in stack.loaded.model.parameters())


def test_a_batch_in_parts_is_the_batch() -> None:
    """Where the token budget holds only some of the facts."""
    small = DecoderStack(stack_of("llama").loaded, token_budget=1)
    assert distance(
        change(bind(small).edit(FACTS)), change(bind(stack_of("llama")).edit(FACTS))
    ) < (2e-3)


def test_what_cannot_be_edited_is_named() -> None:
    stack = stack_of("llama")
    with pytest.raises(EditError, match=r"long: .*the model reads 256; shorten"):
        bind(stack).edit([EditRequest("Bo " * 300, "Bo", "Q", id="long")])
    with pytest.raises(OptionError, match="edits one layer, 2 were given"):
        method("ft_l").bind(stack, layers=(1, 2), seed=0, hyperparameters={}, cache=Path())
    with pytest.raises(OptionError, match="ft_l: norm_constraint is 0"):
        bind(stack, norm_constraint=0)
    spoilt = tiny_model("llama", 7)
    with torch.no_grad():
        spoilt.down_proj_weight(2).fill_(torch.nan)
    with pytest.raises(EditError, match=r"facts x: the loss became nan at step 0.*lower lr"):
        bind(DecoderStack(spoilt)).edit([replace(FACTS[0], id="x")])
