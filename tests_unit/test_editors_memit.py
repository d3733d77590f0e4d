"""MEMIT: the closed form holds, shares add up, trials leave no trace, odd input is named."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chains_ import bits
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from editsuite.cards import FAMILIES, tiny_model
from editsuite.chains import Editing, ModelState, open_chain
from editsuite.editors import LowRank, Update, method
from editsuite.editors.covariance import CovarianceSource
from editsuite.editors.lookup import lookup_rows, lookup_states
from editsuite.editors.memit import BoundMemit
from editsuite.editors.spread import Targets, write_targets
from editsuite.editors.subjects import read_subjects
from editsuite.editors.trial import on_trial
from editsuite.engine import DecoderStack, Ways
from editsuite.errors import CardError, EditError, OptionError
from editsuite.facts import EditRequest

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)
LAYERS = (0, 1, 2)  # of four: from the last one nothing reaches another token
FACTS = tuple(
    EditRequest(f"What is spoken by {name} at home?", name, target, id=name)
    for name, target in (("Orla", "Welsh"), ("Bo Tern", "Urdu"), ("Cy", "Zulu"), ("Di Ro", "Thai"))
)
QUICK: dict[str, object] = {"v_num_grad_steps": 3, "n_contexts": 3, "mom2_update_weight": 2.0}


@cache
def stack_of(architecture: str) -> DecoderStack:
    return DecoderStack(tiny_model(architecture, 7))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache, with a well-conditioned covariance that serves every layer and model."""
    found = tmp_path_factory.mktemp("memit")
    keys = np.random.default_rng(0).standard_normal((128, 512))
    arrays: dict[str, Any] = {"mom2.mom2": keys @ keys.T, "mom2.count": 512}
    np.savez(found / "c.npz", **arrays)
    return found


def bind(
    stack: DecoderStack, folder: Path, layers: Sequence[int] = LAYERS, **given: object
) -> BoundMemit:
    named = {"mom2_corpus": f"npz:{folder / 'c.npz'}"}
    bound = method("memit").bind(
        stack, layers=layers, seed=0, hyperparameters={**QUICK, **named, **given}, cache=folder
    )
    assert isinstance(bound, BoundMemit)
    return bound


def matrix(change: object) -> Tensor:
    assert isinstance(change, LowRank)
    return change.output.double() @ change.input.double().T


def changes(update: Update) -> Tensor:
    return torch.stack([matrix(change) for change in update.factors.values()])


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


# --- the closed form ---------------------------------------------------------------------------


@torch.no_grad()
def written_by_hand(bound: BoundMemit, targets: Targets) -> list[Tensor]:
    """Algorithm 1 as it stands: weights changed in place, prompts run one by one, ``d_ff`` system.

    By transformers' own forward pass; the weights are put back.
    """
    loaded, weight_of = bound.ground.stack.loaded, bound.settings.mom2_update_weight
    model: Any = loaded.model
    caught: dict[str, Tensor] = {}
    weights = [loaded.down_proj_weight(layer) for layer in bound.ground.layers]
    before = [weight.detach().clone() for weight in weights]
    deltas = []
    for step, layer in enumerate(bound.ground.layers):
        key = loaded.down_proj(layer).register_forward_pre_hook(
            lambda _, inputs: caught.update(key=inputs[0][0])
        )
        out = loaded.layer(bound.ground.layers[-1]).register_forward_hook(
            lambda _, __, output: caught.update(
                out=(output[0] if isinstance(output, tuple) else output)[0]
            )
        )
        keys, missing = [], []
        for rows, wanted in zip(targets.rows, targets.states, strict=True):
            own = []
            for place, row in enumerate(rows):
                model(input_ids=torch.tensor([row.ids]))
                own.append(caught["key"][row.lookup].double())
                if place == 0:
                    missing.append((wanted - caught["out"][row.lookup]).double())
            keys.append((own[0] + torch.stack(own[1:]).mean(dim=0)) / 2)
        key.remove()
        out.remove()
        k, r = torch.stack(keys, dim=1), torch.stack(missing, dim=1)
        moment = bound.ground.covariances[layer].matrix
        share = r / (len(bound.ground.layers) - step)
        delta = share @ k.T @ torch.linalg.inv(weight_of * moment + k @ k.T)
        deltas.append(delta)
        weights[step].add_((delta.T if loaded.family.transposed else delta).float())
    for weight, was in zip(weights, before, strict=True):
        weight.copy_(was)
    return deltas


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_update_is_algorithm_one(architecture: str, folder: Path) -> None:
    bound = bind(stack_of(architecture), folder)
    targets = bound.targets(FACTS)
    ours = changes(bound.write(FACTS, targets))
    for mine, wanted in zip(ours, written_by_hand(bound, targets), strict=True):
        assert distance(mine, wanted) < 1e-4


@settings(max_examples=15)
@given(
    st.integers(0, 1000),
    st.integers(1, 200),
    st.sampled_from([1e-3, 1.0, 15.0, 15_000.0]),
)
def test_the_small_system_is_the_large_one(
    folder: Path, seed: int, facts: int, weight: float
) -> None:
    """``C^-1 K (w I + K^T C^-1 K)^-1 = (w C + K K^T)^-1 K``, for few facts and for many."""
    bound = bind(stack_of("llama"), folder, mom2_update_weight=weight)
    keys = torch.randn(128, facts, generator=torch.Generator().manual_seed(seed)).double()
    moment = bound.ground.covariances[1].matrix
    moment = moment + 1e-6 * moment.diagonal().mean() * torch.eye(128).double()
    wanted = torch.linalg.solve(weight * moment + keys @ keys.T, keys)
    assert distance(bound.directions(1, keys), wanted) < 1e-6


def test_one_layer_and_one_fact_without_prior_reach_the_target(folder: Path) -> None:
    """The weight goes from forgetting the fact to forgetting the rest, and the update with it."""
    stack = stack_of("llama")
    norms = []
    for weight in (1e9, 1e3, 1.0, 1e-6):
        bound = bind(stack, folder, layers=(2,), n_contexts=1, mom2_update_weight=weight)
        targets = bound.targets(FACTS[:1])
        update = bound.write(FACTS[:1], targets)
        norms.append(float(changes(update).norm()))
    assert norms == sorted(norms)
    assert norms[0] < 1e-6 * norms[-1]
    assert update.record["missing_after"] == pytest.approx(0, abs=1e-3)
    state = ModelState(stack.loaded, bound.parameters)
    state.apply(update)
    rows = lookup_rows(stack, FACTS[0], bound.ground.prefixes)
    reached = lookup_states(stack, rows, 2).outputs[0]
    state.reset()
    torch.testing.assert_close(reached, targets.states[0], rtol=1e-3, atol=1e-3)


def test_every_layer_takes_its_share_of_what_is_missing(folder: Path) -> None:
    """Without any effect on the keys the shares are equal, and their sum is what was missing."""
    bound = bind(stack_of("llama"), folder)
    targets = bound.targets(FACTS)
    now = read_subjects(bound.ground.stack, targets.rows, keys_at=0, outputs_of=2).outputs
    written = write_targets(
        bound.ground.stack, targets, LAYERS, lambda _, keys: torch.zeros_like(keys)
    )
    outputs = torch.stack([change.output.T for change in written.changes.values()])
    torch.testing.assert_close(
        outputs * torch.tensor([3.0, 2.0, 1.0])[:, None, None],
        (targets.states - now).expand(3, -1, -1),
    )
    assert written.missing_after == pytest.approx(written.missing_before)


def test_the_systems_are_solved_on_one_thread(folder: Path) -> None:
    """Their last bits depend on the number, an edit's must not."""
    bound = bind(stack_of("llama"), folder)
    targets = bound.targets(FACTS[:1])
    seen = []

    def directions(_: int, keys: Tensor) -> Tensor:
        seen.append(torch.get_num_threads())
        return keys

    torch.set_num_threads(2)
    write_targets(bound.ground.stack, targets, LAYERS, directions)
    assert seen == [1, 1, 1]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_the_order_within_a_batch_does_not_matter(architecture: str, folder: Path) -> None:
    bound = bind(stack_of(architecture), folder)
    ahead, back = (changes(bound.edit(facts)) for facts in (FACTS, FACTS[::-1]))
    assert distance(ahead, back) < 1e-4


def test_a_batch_in_many_passes_is_the_batch_in_one(folder: Path) -> None:
    loaded = tiny_model("llama", 7)
    whole, parts = (
        bind(DecoderStack(loaded, token_budget=budget), folder).edit(FACTS) for budget in (4096, 64)
    )
    assert distance(changes(parts), changes(whole)) < 1e-4


# --- the search --------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_resumed_way_gives_the_plain_ways_update(architecture: str, folder: Path) -> None:
    stack = stack_of(architecture)
    fast, slow = (bind(stack, folder, resume=resume).edit(FACTS[:2]) for resume in (True, False))
    assert distance(changes(fast), changes(slow)) < 1e-4
    assert bind(stack, folder).inputs == bind(stack, folder, resume=False).inputs


@pytest.mark.parametrize("switch", ["fast_linear", "written_out"])
def test_every_switch_gives_the_same_update(switch: str, folder: Path) -> None:
    other = DecoderStack(tiny_model("llama", 7), ways=Ways(**{switch: False}))
    updates = [bind(stack, folder).edit(FACTS[:2]) for stack in (stack_of("llama"), other)]
    assert distance(changes(updates[0]), changes(updates[1])) < 1e-4


def test_the_ball_is_measured_by_the_layers_output(folder: Path) -> None:
    stack = stack_of("llama")
    bound = bind(stack, folder, clamp_norm_factor=0.25, v_num_grad_steps=10)
    states = lookup_states(stack, lookup_rows(stack, FACTS[0], bound.ground.prefixes), LAYERS[-1])
    (found,) = bound.targets(FACTS[:1]).found
    assert float(found.delta.norm()) == pytest.approx(0.25 * float(states.outputs[0].norm()))
    assert float(states.outputs[0].norm()) != pytest.approx(float(states.values[0].norm()))


# --- changes on trial --------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_trial_is_the_state_it_tries(architecture: str, folder: Path) -> None:
    loaded = tiny_model(architecture, 3)
    stack = DecoderStack(loaded)
    bound = bind(stack, folder)
    before = bits(loaded)
    rows = [lookup_rows(stack, fact, bound.ground.prefixes)[:-1] for fact in FACTS]
    update = bound.edit(FACTS)
    tried = dict(zip(LAYERS, update.factors.values(), strict=True))
    with on_trial(stack, {k: v for k, v in tried.items() if isinstance(v, LowRank)}):
        on = read_subjects(stack, rows, keys_at=2, outputs_of=2)
    assert bits(loaded) == before
    state = ModelState(loaded, bound.parameters)
    state.apply(update)
    applied = read_subjects(stack, rows, keys_at=2, outputs_of=2)
    state.reset()
    assert distance(on.keys, applied.keys) < 1e-5
    assert distance(on.outputs, applied.outputs) < 1e-5
    assert distance(on.outputs, read_subjects(stack, rows, keys_at=2, outputs_of=2).outputs) > 1e-3


def test_a_trial_that_breaks_off_leaves_no_hook(folder: Path) -> None:
    stack = stack_of("llama")
    change = LowRank(torch.ones(32, 1), torch.ones(128, 1))
    with pytest.raises(RuntimeError, match="broken"), on_trial(stack, {1: change, 2: change}):
        raise RuntimeError("broken")
    with pytest.raises(AttributeError), on_trial(stack, {1: change, 2: None}):  # type: ignore[dict-item]
        pass
    assert not any(module._forward_hooks for module in stack.loaded.model.modules())


def test_an_edit_leaves_the_model_alone(folder: Path) -> None:
    loaded = tiny_model("gpt2", 11)
    before = bits(loaded)
    bound = bind(DecoderStack(loaded), folder)
    first, second = bound.edit(FACTS), bound.edit(FACTS)
    assert bits(loaded) == before
    assert torch.equal(changes(first), changes(second))


# --- chains and records ------------------------------------------------------------------------


def test_batches_make_a_chain_that_resumes_to_the_same_bits(folder: Path, tmp_path: Path) -> None:
    loaded = tiny_model("llama", 5)
    editing = Editing(
        method("memit"),
        (1, 2),
        FACTS,
        "four",
        hyperparameters={**QUICK, "mom2_corpus": f"npz:{folder / 'c.npz'}"},
        batch_size=2,
    )

    def opened(place: Path) -> Any:
        return open_chain(DecoderStack(loaded), editing, folder, chains=place)

    whole = opened(tmp_path / "whole")
    whole.ensure(2)
    whole.go(0)
    opened(tmp_path / "cut").ensure(1)
    loaded = tiny_model("llama", 5)
    cut = opened(tmp_path / "cut")
    cut.ensure(2)
    assert cut.digest(2) == whole.digest(2)
    assert cut.entry(2).update.factors[loaded.down_proj_name(1)].output.shape == (32, 2)


def test_a_batch_of_more_facts_than_there_are_is_refused(tmp_path: Path) -> None:
    editing = Editing(method("memit"), (1, 2), FACTS, "four", batch_size=5)
    with pytest.raises(OptionError, match=r"5 facts, four holds 4.*--edit-batch-size"):
        open_chain(stack_of("llama"), editing, tmp_path)


def test_the_record_says_what_happened(folder: Path) -> None:
    bound = bind(stack_of("gpt2"), folder, v_lr=0.05)
    update = bound.edit(FACTS)
    record = update.record
    assert record["facts"] == "Orla, Bo Tern, Cy and 1 more"
    assert bound.edit(FACTS[:2]).record["facts"] == "Orla, Bo Tern"
    assert record["batch"] == 4
    for layer, change in zip(LAYERS, update.factors.values(), strict=True):
        assert record[f"update_norm_{layer}"] == pytest.approx(float(matrix(change).norm()))
    assert record["update_norm"] == pytest.approx(float(changes(update).norm()))
    assert float(str(record["loss_after"])) < float(str(record["loss_before"]))
    assert float(str(record["loss_after"])) <= float(str(record["loss_after_worst"]))
    assert float(str(record["missing_after"])) < float(str(record["missing_before"]))


# --- what cannot be edited ---------------------------------------------------------------------


@pytest.mark.parametrize("layers", [(), (1, 1), (2, 1)])
def test_layers_that_are_no_way_up_are_refused(layers: tuple[int, ...], folder: Path) -> None:
    with pytest.raises(OptionError, match=r"lowest to the highest.*--edit-layers"):
        bind(stack_of("llama"), folder, layers=layers)


def test_a_layer_out_of_range_is_refused(folder: Path) -> None:
    with pytest.raises(CardError, match="no layer 4"):
        bind(stack_of("llama"), folder, layers=(3, 4))


@pytest.mark.parametrize("weight", [0, -1.0, float("nan")])
def test_a_weight_that_is_no_weight_is_refused(weight: float, folder: Path) -> None:
    with pytest.raises(OptionError, match="mom2_update_weight"):
        bind(stack_of("llama"), folder, mom2_update_weight=weight)


def test_a_covariance_of_another_model_or_layer_is_refused(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    lines = [f"Mill {i} stands {i * 7} miles from Oak." for i in range(50)]
    text.write_text("\n".join(lines), encoding="utf-8")
    for layer in (1, 2):
        held = CovarianceSource(stack_of("llama"), layer, f"file:{text}", 1000, tmp_path)
        held.export(tmp_path / f"{layer}.npz")
    own = bind(stack_of("llama"), folder, (1, 2), mom2_corpus=f"npz:{tmp_path}/{{layer}}.npz")
    own.prepare()
    with pytest.raises(OptionError, match=r"1\.npz.*layer 1, this is layer 2"):
        bind(stack_of("llama"), folder, (1, 2), mom2_corpus=f"npz:{tmp_path}/1.npz").prepare()
    with pytest.raises(OptionError, match=r"1\.npz.*of model"):
        bind(stack_of("gpt2"), folder, (1,), mom2_corpus=f"npz:{tmp_path}/1.npz").prepare()


def test_no_fact_and_a_bad_fact_are_refused_before_any_search(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = bind(stack_of("llama"), folder)
    with pytest.raises(EditError, match="no fact"):
        bound.edit([])
    monkeypatch.setattr("editsuite.editors.spread.find_value", None)
    long = EditRequest("Orla " + "long " * 60 + "speaks", "Orla", "Welsh", id="long")
    with pytest.raises(EditError, match=r"long.*tokens long"):
        bound.edit([*FACTS, long])


def test_weights_that_are_not_numbers_are_named(folder: Path) -> None:
    loaded = tiny_model("llama", 12)
    bound = bind(DecoderStack(loaded), folder)
    loaded.down_proj_weight(2).data[:, 0] = torch.nan
    with pytest.raises(EditError, match=r"Orla.*nan.*float32"):
        bound.edit(FACTS)
