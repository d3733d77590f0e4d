"""ROME: the equation holds, the fast way is the slow way, and odd facts are handled by name."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from editsuite.cards import FAMILIES, tiny_model
from editsuite.chains import ModelState
from editsuite.editors import Update, method
from editsuite.editors.lookup import LookupStates, lookup_rows, lookup_states
from editsuite.editors.readout import plain_readout, resumed_readout
from editsuite.editors.rome import BoundRome
from editsuite.editors.value import find_value
from editsuite.engine import DecoderStack, PaddedBatch, Ways
from editsuite.errors import EditError, OptionError
from editsuite.facts import EditRequest

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)
FACT = EditRequest("What language is spoken by Orla Brightwater?", "Orla Brightwater", "Welsh")
QUICK: dict[str, object] = {"v_num_grad_steps": 6, "n_contexts": 3}


@cache
def stack_of(architecture: str) -> DecoderStack:
    return DecoderStack(tiny_model(architecture, 7))


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("editors")
    text = "\n".join(
        f"The river {i} of {i * 7} runs from Ash to Oak, {i} miles." for i in range(90)
    )
    (folder / "text.txt").write_text(text, encoding="utf-8")
    return folder


def bind(
    stack: DecoderStack, cache: Path, name: str = "rome_noc", layer: int = 1, **given: object
) -> BoundRome:
    named = {"mom2_corpus": f"file:{cache / 'text.txt'}", "mom2_n_tokens": 3000}
    bound = method(name).bind(
        stack, layers=(layer,), seed=0, hyperparameters={**QUICK, **named, **given}, cache=cache
    )
    assert isinstance(bound, BoundRome)
    return bound


def change(update: Update) -> Tensor:
    (factors,) = update.factors.values()
    return factors.output.double() @ factors.input.double().T


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


# --- the fast forward pass ---------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_the_resumed_way_gives_the_plain_ways_update(
    architecture: str, layer: int, cache_folder: Path
) -> None:
    stack = stack_of(architecture)
    ways = [
        bind(stack, cache_folder, layer=layer, resume=resume).edit([FACT])
        for resume in (True, False)
    ]
    assert distance(change(ways[0]), change(ways[1])) < 1e-4
    assert ways[0].record["steps"] == ways[1].record["steps"] == 5


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
def test_in_double_precision_the_two_ways_are_one(architecture: str, cache_folder: Path) -> None:
    """So what lies between them in float32 is rounding, and Adam's nearly all sign steps."""
    loaded = tiny_model(architecture, 7)
    model: torch.nn.Module = loaded.model
    stack = DecoderStack(replace(loaded, model=model.double(), dtype=torch.float64))
    bound = bind(stack_of(architecture), cache_folder)
    rows = lookup_rows(stack, FACT, bound.prefixes)
    states = lookup_states(stack, rows, bound.layer)
    assert states.values.dtype == torch.float64
    found = [
        find_value(states, way(stack, states, bound.layer), bound.settings, name="x").delta
        for way in (resumed_readout, plain_readout)
    ]
    assert distance(found[0], found[1]) < 1e-9


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("switch", [field.name for field in fields(Ways)])
def test_every_switch_gives_the_same_update(
    architecture: str, switch: str, cache_folder: Path
) -> None:
    loaded = tiny_model(architecture, 7)
    other = DecoderStack(loaded, ways=Ways(**{switch: False}))
    updates = [bind(stack, cache_folder).edit([FACT]) for stack in (stack_of(architecture), other)]
    assert distance(change(updates[0]), change(updates[1])) < 1e-4


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize(
    ("subject", "prompt"),
    [
        ("O", "O speaks the language"),  # one token at position 0: there is nothing before it
        ("Orla", "Orla speaks the language"),
        ("Orla", "Orla and again Orla speaks the language"),
        ("Orla", "The language spoken best by Orla"),  # the target follows the subject at once
        ("Orla", "The set {} of {x} and %s that {0} gives Orla is"),
        ("Zoë 北京", "The tongue of Zoë 北京 is"),
    ],
)
@pytest.mark.parametrize("n_contexts", [1, 2])
def test_both_ways_agree_wherever_the_subject_stands(
    architecture: str, subject: str, prompt: str, n_contexts: int, cache_folder: Path
) -> None:
    stack, fact = stack_of(architecture), EditRequest(prompt, subject, "Welsh")
    fast, slow = (
        bind(stack, cache_folder, n_contexts=n_contexts, resume=resume).edit([fact])
        for resume in (True, False)
    )
    assert distance(change(fast), change(slow)) < 1e-4


# --- the equation ------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", ["rome", "rome_noc", "r_rome"])
def test_the_edited_map_sends_the_key_to_the_value(
    architecture: str, name: str, cache_folder: Path
) -> None:
    loaded = tiny_model(architecture, 8)
    stack = DecoderStack(loaded)
    bound = bind(stack, cache_folder, name)
    rows = lookup_rows(stack, FACT, bound.prefixes)
    before = lookup_states(stack, rows, bound.layer)
    readout = resumed_readout(stack, before, bound.layer)
    found = find_value(before, readout, bound.settings, name="fact")
    wanted = before.values[0] + found.delta

    weight = loaded.down_proj_weight(bound.layer)
    shape = weight.shape
    state = ModelState(loaded, bound.parameters)
    state.apply(bound.edit([FACT]))
    after = lookup_states(stack, rows, bound.layer)
    assert weight.shape == shape
    torch.testing.assert_close(after.keys, before.keys, rtol=0, atol=0)
    said = after.values[:-1].mean(dim=0) if name == "r_rome" else after.values[0]
    torch.testing.assert_close(said, wanted, rtol=1e-4, atol=1e-4)
    assert found.steps > 0
    assert found.delta.norm() > 0


def nearest(covariance: Tensor, key: Tensor, missing: Tensor) -> Tensor:
    """The change D of least ``tr(D C D^T)`` with ``D key = missing``, from its own conditions.

    For each row d of D the Lagrange conditions are ``C d + key m = 0`` and ``key . d = missing``:
    a linear system, solved as it stands.
    """
    n = len(key)
    system = torch.zeros(n + 1, n + 1, dtype=torch.float64)
    system[:n, :n], system[:n, n], system[n, :n] = covariance, key, key
    right = torch.zeros(n + 1, len(missing), dtype=torch.float64)
    right[n] = missing
    solved: Tensor = torch.linalg.solve(system, right)
    return solved[:n].T


def states_of(keys: Tensor, values: Tensor) -> LookupStates:
    empty = torch.zeros(len(keys), 1)
    batch = PaddedBatch(empty.long(), empty.bool(), empty.long())
    return LookupStates((), batch, empty, keys.float(), values.float())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans())
def test_the_update_is_the_nearest_map_of_equation_two(
    tmp_path_factory: pytest.TempPathFactory, seed: int, averaged: bool, identity: bool
) -> None:
    """Paper A.2, equation (2): minimise ``|W' K - W K|`` subject to ``W' k = v``."""
    stack, folder = stack_of("llama"), tmp_path_factory.mktemp("npz")
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    known = draw(128, 512)
    moment = torch.eye(128).double() if identity else known @ known.T
    arrays: dict[str, Any] = {"mom2.mom2": moment.numpy(), "mom2.count": np.int64(512)}
    np.savez(folder / "c.npz", **arrays)
    weight, shared = draw(32, 128), draw(1, 128)
    # ROME's averaged and bare key are one where the contexts do not matter; r-ROME's need not be.
    keys = draw(4, 128) if averaged else shared.expand(4, 128)
    values = keys @ weight.T
    delta = draw(32)
    bound = bind(
        stack,
        folder,
        "r_rome" if averaged else "rome",
        mom2_corpus=f"npz:{folder / 'c.npz'}",
        n_contexts=1,
    )
    factors, _ = bound._insert(FACT, states_of(keys, values), delta.float())
    key = keys[:-1].mean(dim=0)
    missing = values[0] + delta - key @ weight.T
    ours = factors.output.double() @ factors.input.double().T
    assert distance(ours, nearest(moment, key, missing)) < 1e-4


def test_a_key_without_a_part_along_the_direction_is_named(cache_folder: Path) -> None:
    bound = bind(stack_of("llama"), cache_folder)
    keys = torch.zeros(3, 128)
    keys[0, 0], keys[1, 0], keys[1, 1] = 1.0, -1.0, 1.0  # the mean is orthogonal to the bare key
    with pytest.raises(EditError, match=f"{FACT.id}.*denominator"):
        bound._insert(FACT, states_of(keys, torch.zeros(3, 32)), torch.ones(32))


# --- the value ---------------------------------------------------------------------------------


class DoubleStack(DecoderStack):
    """Logits in the model's own dtype, so that differences of a loss can be taken in float64."""

    def logits(self, hidden: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(hidden))
        return out


def in_float64(model: Any) -> None:
    """Turn all of a model to float64; transformers' own RMS norm computes in float32 whatever."""
    model.double()
    for name, module in list(model.named_modules()):
        if hasattr(module, "variance_epsilon"):
            exact = torch.nn.RMSNorm(module.weight.shape, eps=module.variance_epsilon)
            exact.weight = module.weight
            model.set_submodule(name, exact)


def written_out_loss(bound: BoundRome, states: LookupStates, delta: Tensor) -> Tensor:
    """Meng et al. 2022, equation (4), by transformers' own forward pass, row by row."""
    stack, wanted = bound.stack, bound.settings
    mlp: Any = stack.layers[bound.layer].get_submodule(stack.loaded.family.mlp)
    model: Any = stack.loaded.model

    def log_probs(ids: tuple[int, ...], lookup: int, added: Tensor) -> Tensor:
        def add(_: object, __: object, output: Tensor) -> Tensor:
            place = torch.zeros(output.shape[1], 1, dtype=output.dtype)
            place[lookup] = 1
            return output + place * added

        handle = mlp.register_forward_hook(add)
        try:
            return torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0], dim=-1)
        finally:
            handle.remove()

    *asked, essence = states.rows
    losses = []
    for row in asked:
        said = log_probs(row.ids, row.lookup, delta)
        picked = [said[row.context - 1 + i, token] for i, token in enumerate(row.target)]
        losses.append(-torch.stack(picked).mean())
    was = log_probs(essence.ids, essence.lookup, torch.zeros_like(delta))[essence.lookup]
    now = log_probs(essence.ids, essence.lookup, delta)[essence.lookup]
    divergence = (now.exp() * (now - was)).sum()  # KL(changed || unchanged), in this order
    decay = wanted.v_weight_decay * delta.norm() / states.values[0].double().norm() ** 2
    loss: Tensor = torch.stack(losses).mean() + wanted.kl_factor * divergence + decay
    return loss


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss_and_gradient_are_those_of_the_written_out_loss(
    architecture: str, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Prefixes in float32, where the model is as others see it; then all of it in float64.
    loaded = tiny_model(architecture, 9)
    prefixes = bind(DecoderStack(loaded), cache_folder).prefixes
    in_float64(loaded.model)
    stack = DoubleStack(loaded)
    # GPT-J's attention computes in float32 whatever: there a wide step is needed, and so a loss
    # without the sharp bend of |delta| at 0.
    step, least, decay = (1e-2, 1e-5, 0.0) if architecture == "gptj" else (1e-5, 1e-8, 0.01)
    given: dict[str, Any] = {
        "v_weight_decay": decay,
        "kl_factor": 0.7,
        "early_stop": 0.0,
        "clamp_norm_factor": 1e6,
    }
    settings_of = bind(
        DecoderStack(tiny_model(architecture)), cache_folder, v_lr=1, **given
    ).settings
    bound = BoundRome(stack, 1, settings_of, prefixes, None)
    states = lookup_states(stack, lookup_rows(stack, FACT, prefixes), 1)
    wide = LookupStates(
        states.rows, states.batch, states.hidden, states.keys.double(), states.values.double()
    )
    readout = resumed_readout(stack, wide, 1)
    monkeypatch.setattr(torch.optim, "Adam", torch.optim.SGD)  # a step is the gradient itself
    visited = []
    for evaluations in (2, 3):
        object.__setattr__(bound.settings, "v_num_grad_steps", evaluations)
        visited.append(find_value(wide, readout, bound.settings, name="fact"))
    first, second = (found.delta for found in visited)
    gradient = (first - second) / bound.settings.v_lr

    with torch.no_grad():
        for found, delta in ((visited[0], first), (visited[1], second)):
            assert found.loss_after == pytest.approx(
                float(written_out_loss(bound, wide, delta)), rel=1e-10
            )
        random = torch.Generator().manual_seed(1)
        for direction in (*torch.randn(3, 32, generator=random).double(), gradient):
            along = direction / direction.norm()
            ahead = written_out_loss(bound, wide, first + step * along)
            behind = written_out_loss(bound, wide, first - step * along)
            slope = float((ahead - behind) / (2 * step))
            assert float(gradient @ along) == pytest.approx(slope, rel=1e-5, abs=least)


def test_the_change_never_leaves_the_ball(cache_folder: Path) -> None:
    stack = stack_of("llama")
    for factor in (0.25, 1.0):
        bound = bind(stack, cache_folder, clamp_norm_factor=factor, v_num_grad_steps=10)
        states = lookup_states(stack, lookup_rows(stack, FACT, bound.prefixes), 1)
        norm = bound.edit([FACT]).record["delta_norm"]
        assert norm == pytest.approx(factor * float(states.values[0].norm()), rel=1e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_a_search_that_never_waits_for_the_device_ends_alike(
    architecture: str, steps: int, cache_folder: Path
) -> None:
    """Bit for bit, whether it stops at once, on its way, or not before the last step."""
    stack = stack_of(architecture)
    whole = bind(stack, cache_folder, v_num_grad_steps=steps, early_stop=0.0).edit([FACT]).record
    before, after = float(str(whole["loss_before"])), float(str(whole["loss_after"]))
    for early_stop in (0.0, (before + after) / 2, 1e6):
        bound = bind(stack, cache_folder, v_num_grad_steps=steps, early_stop=early_stop)
        states = lookup_states(stack, lookup_rows(stack, FACT, bound.prefixes), bound.layer)
        readout = resumed_readout(stack, states, bound.layer)
        waiting, not_waiting = (
            find_value(states, readout, bound.settings, name="fact", waits=waits)
            for waits in (True, False)
        )
        assert torch.equal(waiting.delta, not_waiting.delta)
        told, also_told = (asdict(found) for found in (waiting, not_waiting))
        assert told.pop("delta") is not also_told.pop("delta")
        assert told == also_told


def test_one_evaluation_takes_no_step(cache_folder: Path) -> None:
    update = bind(stack_of("llama"), cache_folder, v_num_grad_steps=1).edit([FACT])
    assert update.record["steps"] == 0
    assert float(change(update).norm()) == 0.0


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_target_that_is_already_the_answer_changes_nothing(
    architecture: str, cache_folder: Path
) -> None:
    loaded = tiny_model(architecture, 10)
    stack = DecoderStack(loaded)
    teach: dict[str, Any] = {"n_contexts": 1, "clamp_norm_factor": 100.0, "v_lr": 0.1}
    state = ModelState(loaded, (loaded.down_proj_name(1),))
    fact = EditRequest("The language spoken best by Orla", "Orla", "Welsh")
    taught = bind(stack, cache_folder, v_num_grad_steps=30, **teach).edit([fact])
    state.apply(taught)
    # A random model of this size cannot say a word for certain: the bar is what it has reached.
    looked = bind(stack, cache_folder, v_num_grad_steps=1, **teach).edit([fact])
    reached = float(str(looked.record["loss_before"]))
    assert reached < float(str(taught.record["loss_before"]))
    harder = bind(stack, cache_folder, early_stop=reached - 1e-3, **teach).edit([fact])
    assert harder.record["already_known"] is False
    again = bind(stack, cache_folder, early_stop=reached + 1e-3, **teach).edit([fact])
    assert again.record["already_known"] is True
    assert again.record["steps"] == 0
    assert float(change(again).norm()) == 0.0


def test_an_edit_leaves_the_model_and_the_random_state_alone(cache_folder: Path) -> None:
    loaded = tiny_model("gpt2", 11)
    bound = bind(DecoderStack(loaded), cache_folder, "rome")
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = bound.edit([FACT])
    torch.manual_seed(6)
    assert torch.equal(change(first), change(bound.edit([FACT])))
    torch.manual_seed(5)
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in loaded.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert not any(module._forward_hooks for module in loaded.model.modules())
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())


def test_the_record_says_what_happened(cache_folder: Path) -> None:
    stack = stack_of("gpt2")
    bound = bind(stack, cache_folder, "rome", v_lr=0.05)
    update = bound.edit([FACT])
    states = lookup_states(stack, lookup_rows(stack, FACT, bound.prefixes), 1)
    record = update.record
    assert record["facts"] == FACT.id
    assert record["update_norm"] == pytest.approx(float(change(update).norm()), rel=1e-5)
    assert record["key_norm"] == pytest.approx(float(states.keys[:-1].mean(dim=0).norm()))
    weight = stack.loaded.down_proj_weight(1)
    assert record["weight_norm_before"] == pytest.approx(float(weight.norm()))
    assert float(str(record["loss_after"])) < float(str(record["loss_before"]))
    assert float(str(record["seconds"])) > 0


# --- what cannot be edited ---------------------------------------------------------------------


@pytest.mark.parametrize("place", ["edited", "above", "below"])
def test_weights_that_are_not_numbers_are_named(place: str, cache_folder: Path) -> None:
    loaded = tiny_model("llama", 12)
    bound = bind(DecoderStack(loaded), cache_folder)
    layer = {"below": 0, "edited": 1, "above": 2}[place]
    loaded.down_proj_weight(layer).data[:, 0] = torch.nan
    with pytest.raises(EditError, match=f"{FACT.id}.*nan.*float32"):
        bound.edit([FACT])


def test_a_prompt_beyond_the_context_is_named(cache_folder: Path) -> None:
    fact = EditRequest("Orla " + "long " * 60 + "speaks", "Orla", "Welsh")
    with pytest.raises(EditError, match=f"{fact.id}.*tokens long.*256"):
        bind(stack_of("llama"), cache_folder).edit([fact])


@pytest.mark.parametrize("count", [0, 2])
def test_one_fact_at_a_time(count: int, cache_folder: Path) -> None:
    with pytest.raises(EditError, match=f"one fact at a time, {count}"):
        bind(stack_of("llama"), cache_folder).edit([FACT] * count)


def test_one_layer_at_a_time(cache_folder: Path) -> None:
    with pytest.raises(OptionError, match="one layer, 2 were given"):
        method("rome").bind(
            stack_of("llama"), layers=(1, 2), seed=0, hyperparameters={}, cache=cache_folder
        )


def test_an_unknown_method_lists_the_known() -> None:
    with pytest.raises(OptionError, match=r"'room'.*memit, mend, r_rome, rome, rome_noc"):
        method("room")


def test_the_two_ways_are_one_chain(cache_folder: Path) -> None:
    stack = stack_of("llama")
    fast, slow = (bind(stack, cache_folder, "rome", resume=way) for way in (True, False))
    assert fast.inputs == slow.inputs
    assert bind(stack, cache_folder, "rome", v_lr=0.4).inputs != fast.inputs
    assert bind(stack, cache_folder, "r_rome").inputs != fast.inputs
