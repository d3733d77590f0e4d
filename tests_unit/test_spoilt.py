"""Spoilt editors: each is wrong in the way that it says, and otherwise the honest one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import mend_
import pytest
import torch
from chains_ import bits
from spoilt_ import (
    FACTS,
    LAYERS,
    bind,
    factors,
    matrices,
    plain_keys,
    plain_logits,
    prepared,
    same_bits,
    stack_of,
    twins,
)
from torch import Tensor

from benchmarks.spoilt import alphaedit, grace, memit, rome
from benchmarks.spoilt.entrant import Entrant, Scene, recast
from benchmarks.spoilt.entrants import ENTRANTS, HONEST, SPOILT, chosen
from editsuite.chains import ModelState
from editsuite.editors import LowRank, Update
from editsuite.editors.codebook import Codebook
from editsuite.editors.codebook_state import entered
from editsuite.editors.key_scale import query_row
from editsuite.editors.lookup import LookupRow, lookup_rows
from editsuite.editors.mend import MendHyperparameters
from editsuite.editors.subjects import read_subjects
from editsuite.errors import OptionError
from editsuite.facts import EditRequest

pytestmark = pytest.mark.usefixtures("one_thread")

FACT, NEXT = FACTS[:2]
#: Wrong only once there was another edit, or only where a query comes.
LATER = {
    "rome-unedited-model",
    "memit-unedited-model",
    "alphaedit-forgetful",
    "grace-never-split",
    "grace-boundless",
    "grace-farthest",
    "grace-added",
    "grace-next-value",
}
#: Wrong in what it is put on, or by what another layer's statistics are here.
ELSEWHERE = {"rome-other-matrix", "rome-next-covariance", "memit-turned-covariances"}
#: Wrong where the bound would have been reached.
BOUNDS = {"rome-no-clamp": {"clamp_norm_factor": 0.01}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("spoilt"))


@cache
def first_edit(name: str, folder: Path) -> Update:
    """An honest editor's first edit, made once."""
    update: Update = bind(name, folder).edit([FACT])
    return update


@pytest.fixture(autouse=True)
def taken_off() -> Iterator[None]:
    """No test leaves an edit to the next one."""
    before = bits(stack_of().loaded)
    yield
    stack_of().adapter = None
    assert bits(stack_of().loaded) == before


def close(a: Tensor, b: Tensor, size: float = 1e-5) -> bool:
    return float((a.double() - b.double()).norm() / b.double().norm()) < size


# --- the list ----------------------------------------------------------------------------------


def test_there_are_enough_of_them_and_every_method_of_the_paper_has_some() -> None:
    assert len(SPOILT) >= 28
    assert {entrant.base for entrant in SPOILT} == {e.base for e in HONEST}
    assert len(ENTRANTS) == len(SPOILT) + len(HONEST)
    assert len({entrant.wrong for entrant in SPOILT if entrant.base == "rome"}) == sum(
        entrant.base == "rome" for entrant in SPOILT
    )


def test_whoever_is_chosen_comes_with_its_twin() -> None:
    assert [e.name for e in chosen("grace-never-split, rome-sign")] == [
        "rome",
        "grace-wide",
        "rome-sign",
        "grace-never-split",
    ]
    assert len(chosen("")) == len(ENTRANTS)
    with pytest.raises(OptionError, match="no editor 'rome-signs'"):
        chosen("rome-signs")


@pytest.mark.parametrize("entrant", SPOILT, ids=lambda entrant: entrant.name)
def test_the_first_edit_is_another_one_wherever_the_mistake_shows_at_once(
    entrant: Entrant, folder: Path
) -> None:
    """And its chain is never taken for an honest one."""
    updates = [bind(entrant, folder).edit([FACT]), first_edit(entrant.beside, folder)]
    if entrant.name in LATER | ELSEWHERE | set(BOUNDS):
        assert same_bits(*updates)
    else:
        assert not same_bits(*updates)
    method, twin = entrant.method(FACTS), ENTRANTS[entrant.beside].method(FACTS)
    assert method.name != twin.name
    assert method.card_key == twin.card_key
    assert all(torch.isfinite(m).all() for m in matrices(updates[0]))


def test_another_mistake_is_another_version() -> None:
    """Settings, the shift, the spoiler, what it is told: a kept chain outlives none of them."""
    base = ENTRANTS["rome-sign"]
    others = [
        base,
        replace(base, settings={"kl_factor": 0.0}),
        replace(base, given={"kl_factor": 0.0}),
        replace(base, shift=1),
        replace(base, spoiler=rome.undivided),
        replace(base, spoiler=ENTRANTS["rome-twice"].spoiler),
    ]
    assert len({entrant.method(FACTS).version for entrant in others}) == len(others)
    assert base.method(FACTS).version == base.method(FACTS[:1]).version


# --- any method --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("rome-sign", -1),
        ("rome-twice", 2),
        ("rome-half", 0.5),
        ("memit-sign", -1),
        ("mend-sign", -1),
        ("mend-twice", 2),
        ("ft_l-sign", -1),
    ],
)
def test_a_scaled_update_is_the_honest_one_times_a_number(
    name: str, by: float, folder: Path
) -> None:
    spoilt, honest = twins(name, folder)
    for wrong, right in zip(
        matrices(spoilt.edit([FACT])), matrices(honest.edit([FACT])), strict=True
    ):
        assert torch.equal(wrong, by * right)


@pytest.mark.parametrize(
    ("name", "dtype"), [("rome-bfloat16", torch.bfloat16), ("memit-float16", torch.float16)]
)
def test_a_rounded_update_holds_numbers_of_the_dtype(
    name: str, dtype: torch.dtype, folder: Path
) -> None:
    spoilt, honest = twins(name, folder)
    wrong, right = (factors(editor.edit([FACT])) for editor in (spoilt, honest))
    for mine, others in zip(wrong, right, strict=True):
        for tensor, exact in zip(vars(mine).values(), vars(others).values(), strict=True):
            assert torch.equal(tensor, tensor.to(dtype).float())
            assert close(tensor, exact, torch.finfo(dtype).eps)


def test_the_update_is_put_on_the_matrix_of_the_layer_above(folder: Path) -> None:
    spoilt, honest = twins("rome-other-matrix", folder)
    loaded = stack_of().loaded
    assert honest.parameters == (loaded.down_proj_name(1),)
    assert spoilt.parameters == tuple(spoilt.edit([FACT]).factors) == (loaded.down_proj_name(2),)


@pytest.mark.parametrize("name", ["rome-next-layer", "memit-next-layers", "ft_l-next-layer"])
def test_the_layer_above_is_edited_as_if_it_were_meant(name: str, folder: Path) -> None:
    spoilt, _ = twins(name, folder)
    entrant = ENTRANTS[name]
    right = ENTRANTS[entrant.base].method(FACTS)
    layers = [layer + 1 for layer in LAYERS[entrant.base]]
    settings = {f.name: getattr(spoilt.settings, f.name) for f in fields(spoilt.settings)}
    meant = right.bind(stack_of(), layers=layers, seed=0, hyperparameters=settings, cache=folder)
    assert spoilt.parameters == meant.parameters
    assert same_bits(spoilt.edit([FACT]), meant.edit([FACT]))


def test_each_fact_gets_the_next_ones_update_and_the_last_the_firsts(folder: Path) -> None:
    spoilt, honest = twins("rome-next-fact", folder)
    assert same_bits(spoilt.edit([FACT]), honest.edit([NEXT]))
    assert same_bits(spoilt.edit([FACTS[-1]]), honest.edit([FACT]))


@pytest.mark.parametrize("name", ["rome-next-target", "ft_l-next-target"])
def test_each_fact_is_taught_the_next_ones_target(name: str, folder: Path) -> None:
    spoilt, honest = twins(name, folder)
    asked = EditRequest(FACT.prompt, FACT.subject, NEXT.target_new, id="other")
    assert same_bits(spoilt.edit([FACT]), honest.edit([asked]))


@pytest.mark.parametrize("name", ["rome-unedited-model", "memit-unedited-model"])
def test_the_second_edit_is_that_of_the_unedited_model(name: str, folder: Path) -> None:
    """And the model is left in the state in which it was found."""
    spoilt, honest = twins(name, folder)
    first, alone = (honest.edit([fact]) for fact in FACTS[:2])
    state = ModelState(stack_of().loaded, honest.parameters)
    state.apply(first)
    try:
        present = bits(stack_of().loaded)
        assert same_bits(spoilt.edit([NEXT]), alone)
        assert bits(stack_of().loaded) == present
        assert not same_bits(honest.edit([NEXT]), alone)
    finally:
        state.reset()


# --- ROME --------------------------------------------------------------------------------------


@pytest.mark.parametrize("resume", [True, False])
def test_taken_apart_rome_is_rome(folder: Path, resume: bool) -> None:
    honest = bind("rome", folder, resume=resume)
    assert same_bits(recast(rome.OpenRome, honest).edit([FACT]), honest.edit([FACT]))


def row_of(fact: EditRequest = FACT) -> LookupRow:
    """The prompt without a prefix."""
    return lookup_rows(stack_of(), fact, [""])[0]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("rome", lambda row: row.lookup),
        ("rome-key-before", lambda row: row.lookup - 1),
        ("rome-token-before", lambda row: row.lookup - 1),
        ("rome-prompt-last", lambda row: row.context - 1),
    ],
)
def test_the_update_reads_the_key_of_the_token_that_it_says(
    name: str, place: Any, folder: Path
) -> None:
    """Without covariance and contexts the direction is the key, here by transformers' own pass."""
    editor = bind(name, folder, mom2_adjustment=False, n_contexts=1)
    (change,) = factors(editor.edit([FACT]))
    key = plain_keys(stack_of(), row_of().ids, 1)[place(row_of())]
    assert close(change.input[:, 0], key / key.norm())


def test_a_key_of_the_token_before_leaves_the_values_search_alone(folder: Path) -> None:
    key, token, honest = (
        bind(name, folder).edit([FACT]).record
        for name in ("rome-key-before", "rome-token-before", "rome")
    )
    assert key["nll_after"] == honest["nll_after"] != token["nll_after"]
    assert key["delta_norm"] == honest["delta_norm"] != token["delta_norm"]


def test_the_first_token_has_none_before_it() -> None:
    row = LookupRow((5, 6, 7), 0, 3, (8,))
    assert rome.earlier(row) == row
    assert rome.earlier(replace(row, lookup=2)).lookup == 1


def test_other_tokens_are_asked_for_behind_the_same_words(folder: Path) -> None:
    record = bind("rome-other-tokens", folder, n_contexts=1).edit([FACT]).record
    row, said = row_of(), plain_logits(stack_of(), row_of().ids)
    at = [row.context - 1 + i for i in range(len(row.target))]
    wrong = -said[at, [t + 1 for t in row.target]].mean()
    right = -said[at, list(row.target)].mean()
    assert record["nll_before"] == pytest.approx(float(wrong), abs=1e-4)
    assert abs(float(wrong - right)) > 0.01


def test_the_loss_reads_one_position_early(folder: Path) -> None:
    record = bind("rome-asked-early", folder, n_contexts=1).edit([FACT]).record
    row, said = row_of(), plain_logits(stack_of(), row_of().ids)
    early = [row.context - 2 + i for i in range(len(row.target))]
    wrong = -said[early, list(row.target)].mean()
    assert record["nll_before"] == pytest.approx(float(wrong), abs=1e-4)


def test_where_the_target_follows_the_subject_nothing_is_read_early(folder: Path) -> None:
    fact = EditRequest("The language spoken best by Orla", "Orla", "Welsh")
    spoilt, honest = twins("rome-asked-early", folder, n_contexts=1)
    assert same_bits(spoilt.edit([fact]), honest.edit([fact]))


def test_the_search_is_spoilt_by_its_settings(folder: Path) -> None:
    assert bind("rome-no-kl", folder).settings.kl_factor == 0
    assert bind("memit-no-kl", folder).settings.kl_factor == 0
    assert bind("rome-one-step", folder).edit([FACT]).record["steps"] == 1
    assert bind("rome-no-prefixes", folder).prefixes == ("",)
    assert bind("grace-one-step", folder).edit([FACT]).record["steps"] == 1


def test_nothing_holds_the_value_where_the_clamp_is_off(folder: Path) -> None:
    """What is given here is the honest editor's, the mistake goes before it."""
    spoilt, honest = twins("rome-no-clamp", folder, **BOUNDS["rome-no-clamp"])
    assert spoilt.settings.clamp_norm_factor > 1e6
    norms = [e.edit([FACT]).record["delta_norm"] for e in (spoilt, honest)]
    assert norms[0] > 5 * norms[1]


def test_a_denominator_that_is_left_out_is_missing_from_the_output(folder: Path) -> None:
    spoilt, honest = twins("rome-no-denominator", folder)
    wrong, right = (editor.edit([FACT]) for editor in (spoilt, honest))
    ours, theirs = factors(wrong)[0], factors(right)[0]
    assert torch.equal(ours.input, theirs.input)
    assert close(ours.output, theirs.output * float(right.record["denominator"]))


def test_the_covariance_is_left_out_multiplied_by_or_another_layers(folder: Path) -> None:
    key = plain_keys(stack_of(), row_of().ids, 1)[row_of().lookup].double()
    bare, times, other, honest = (
        bind(name, folder, n_contexts=1)
        for name in ("rome-no-covariance", "rome-not-inverted", "rome-next-covariance", "rome")
    )
    matrix = honest.covariance.regular
    wanted = {
        "left out": (bare, key),
        "multiplied": (times, matrix @ key),
        "divided": (honest, torch.linalg.solve(matrix, key)),
    }
    for editor, direction in wanted.values():
        (change,) = factors(editor.edit([FACT]))
        assert close(change.input[:, 0], direction / direction.norm(), 1e-4)
    assert (honest.covariance.identity["layer"], other.covariance.identity["layer"]) == (1, 2)
    times.prepare()
    assert times.inputs == honest.inputs  # only the name tells such a chain from an honest one


# --- MEMIT and AlphaEdit -----------------------------------------------------------------------


def test_taken_apart_memit_is_memit(folder: Path) -> None:
    honest = bind("memit", folder)
    assert same_bits(recast(memit.OpenMemit, honest).edit(FACTS), honest.edit(FACTS))


def test_only_the_first_layers_change_is_applied(folder: Path) -> None:
    spoilt, honest = twins("memit-one-layer", folder)
    wrong, right = spoilt.edit([FACT]), honest.edit([FACT])
    first = honest.parameters[0]
    assert list(wrong.factors) == [first]
    assert torch.equal(wrong.factors[first].output, right.factors[first].output)
    assert spoilt.parameters == honest.parameters


def test_shares_are_not_divided_or_go_by_what_was_missing_at_first(folder: Path) -> None:
    honest, whole, stale = (
        factors(bind(name, folder).edit([FACT]))
        for name in ("memit", "memit-undivided", "memit-stale-missing")
    )
    assert close(whole[0].output, 3 * honest[0].output)
    assert all(close(whole[i].input, honest[i].input) for i in (0,))
    for left, change in zip((3, 2, 1), stale, strict=True):
        assert close(left * change.output, 3 * honest[0].output)
    assert not close(2 * honest[1].output, 3 * honest[0].output)


def test_stale_keys_are_those_of_the_model_without_the_edits_own_changes(folder: Path) -> None:
    spoilt, honest = twins("memit-stale-keys", folder)
    wrong, right = spoilt.edit([FACT]), honest.edit([FACT])
    rows = [lookup_rows(stack_of(), FACT, honest.ground.prefixes)[:-1]]
    for layer, change, true in zip(LAYERS["memit"], factors(wrong), factors(right), strict=True):
        keys = read_subjects(stack_of(), rows, keys_at=layer, outputs_of=layer).keys.T
        expected = honest.directions(layer, keys.double())
        assert close(change.input, expected)
        assert close(true.input, expected) == (layer == 0)


def test_covariances_are_those_of_the_next_layer(folder: Path) -> None:
    spoilt, _ = twins("memit-turned-covariances", folder)
    found = {at: c.identity["layer"] for at, c in spoilt.ground.covariances.items()}
    assert found == {0: 1, 1: 2, 2: 0}
    spoilt.prepare()


def test_without_covariance_the_identity_is_solved_with(folder: Path) -> None:
    keys = torch.randn(128, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spoilt = bind("memit-no-covariance", folder)
    whole = 2.0 * torch.eye(128, dtype=torch.float64) + keys @ keys.T
    assert close(spoilt.directions(0, keys), torch.linalg.solve(whole, keys), 1e-10)


def test_projections_are_none_or_onto_the_rest(folder: Path) -> None:
    """Held against systems of ``d_ff`` rows, with the projection written out."""
    keys = torch.randn(128, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    none, other, honest = (
        bind(name, folder)
        for name in ("alphaedit-no-projection", "alphaedit-other-space", "alphaedit")
    )
    basis, eye = honest.spaces[0].basis, torch.eye(128, dtype=torch.float64)
    onto = basis @ basis.T
    assert 0 < basis.shape[1] < 128
    for editor, projection in ((none, eye), (other, eye - onto), (honest, onto)):
        lhs = projection @ keys @ keys.T + 2.0 * eye
        expected = torch.linalg.solve(lhs, projection @ keys)
        assert close(editor.directions(0, keys), expected, 1e-5)
    assert float((basis.T @ alphaedit.Rest(honest.spaces[0]).basis).abs().max()) < 1e-5


def test_the_forgetful_solves_as_if_nothing_had_been_written(folder: Path) -> None:
    spoilt, honest = twins("alphaedit-forgetful", folder)
    keys = torch.randn(128, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fresh = honest.directions(0, keys)
    update = honest.edit([FACT])
    for editor in (spoilt, honest):
        editor.remember(update)
    assert torch.equal(spoilt.directions(0, keys), fresh)
    assert not close(honest.directions(0, keys), fresh)


# --- MEND --------------------------------------------------------------------------------------


def mend_reference(statistics: dict[str, Any], **changes: Any) -> list[Tensor]:
    """MEND written out plainly in float64, with other statistics, rates or modes."""
    stack = stack_of()
    net = mend_.network(stack)
    parameters = mend_.doubles(net) | changes.pop("parameters", {})
    for name, value in changes.items():
        setattr(net, name, value)
    prompts = mend_.prompts_of(stack, [FACT])
    plain = mend_.Plain.of(stack)
    ids = [*prompts.ids.tolist(), int(prompts.wanted[-1])]
    gradients = plain.gradients(ids, prompts.wanted.tolist())
    held = mend_.plain_update(net, parameters, statistics, gradients)
    return [change.detach() for _, change in sorted(held.items())]


def seen_statistics() -> dict[str, Any]:
    """What the tiny network saw, by map and side."""
    found = {}
    for key, transform in mend_.network(stack_of()).transforms.items():
        for side in ("input", "output"):
            norm: Any = getattr(transform, side)
            deviation = (norm.squares / (norm.count - 1)).sqrt()
            found[f"{key}.{side}"] = (norm.mean, deviation)
    return found


def plain_statistics() -> dict[str, Any]:
    """Those that leave a vector as it is."""
    one = 1 - 1e-7
    return {
        key: (torch.zeros_like(mean), torch.full_like(mean, one))
        for key, (mean, _) in seen_statistics().items()
    }


def test_mend_is_spoilt_where_it_says_by_a_plain_reference(folder: Path) -> None:
    net, seen = mend_.network(stack_of()), seen_statistics()
    sizes = {key: sum(s.key == key for s in net.shapes) for key in net.transforms}
    rates = net.rates.detach().double()
    expected = {
        "mend": mend_reference(seen),
        "mend-unnormalised": mend_reference(plain_statistics()),
        "mend-one-rate": mend_reference(
            seen, parameters={"rates": torch.full_like(rates, float(rates.mean()))}
        ),
        "mend-turned-modes": mend_reference(
            seen, modes={s.name: (net.modes[s.name] + 1) % sizes[s.key] for s in net.shapes}
        ),
    }
    for name, wanted in expected.items():
        for found, change in zip(matrices(bind(name, folder).edit([FACT])), wanted, strict=True):
            assert close(found, change, 1e-3), name


def test_past_the_network_the_gradient_is_used_as_it_is(folder: Path) -> None:
    stack = stack_of()
    net, prompts = mend_.network(stack), mend_.prompts_of(stack, [FACT])
    ids = [*prompts.ids.tolist(), int(prompts.wanted[-1])]
    gradients = mend_.Plain.of(stack).gradients(ids, prompts.wanted.tolist())
    update = bind("mend-bypassed", folder).edit([FACT])
    for number, shape in enumerate(net.shapes):
        change = update.factors[shape.name]
        assert isinstance(change, LowRank)
        found = change.output.double() @ change.input.double().T
        wanted = -float(net.rates[number].detach()) * gradients[shape.name][2]
        assert close(found, wanted, 1e-3)
    assert MendHyperparameters().hypernetwork == "shipped"


# --- GRACE -------------------------------------------------------------------------------------


def book_of(*distances: float) -> Codebook:
    """Entries on a line, at these distances from 0, each with radius 1 and its number as value."""
    keys = torch.tensor([[float(d), 0.0] for d in distances])
    values = torch.tensor([[float(i + 1)] * 3 for i in range(len(distances))])
    radii = torch.ones(len(distances), dtype=torch.float64)
    return Codebook(keys, values, radii, tuple((i,) for i in range(len(distances))))


@pytest.mark.parametrize(
    ("adapter", "at_entry", "far"),
    [
        (grace.OpenAdapter, 2.0, None),
        (grace.Boundless, 2.0, 3.0),
        (grace.Farthest, None, None),
        (grace.Added, 12.0, None),
        (grace.NextValue, 1.0, None),
    ],
)
def test_who_answers_and_what_is_put_in(
    adapter: type[grace.OpenAdapter], at_entry: float | None, far: float | None
) -> None:
    """Asked at the second of three entries, and far beyond the third."""
    placed = adapter(2, "mlp.down_proj", book_of(0, 10, 20))
    entering, leaving = torch.tensor([[10.0, 0.0], [90.0, 0.0]]), torch.full((2, 3), 10.0)
    put = placed(entering, leaving)
    found = leaving if put is None else put
    for row, wanted in zip(found, (at_entry, far), strict=True):
        assert row.tolist() == [10.0 if wanted is None else wanted] * 3
    assert (put is None) == (at_entry is far is None)
    assert leaving.tolist() == [[10.0] * 3] * 2


def test_the_farthest_of_one_entry_answers_within_its_radius() -> None:
    placed = grace.Farthest(2, "mlp.down_proj", book_of(0))
    assert placed(torch.tensor([[0.5, 0.0]]), torch.zeros(1, 3)) is not None
    assert placed(torch.tensor([[1.5, 0.0]]), torch.zeros(1, 3)) is None


@pytest.mark.parametrize(
    ("name", "adapter"),
    [
        ("grace-boundless", grace.Boundless),
        ("grace-farthest", grace.Farthest),
        ("grace-added", grace.Added),
        ("grace-next-value", grace.NextValue),
    ],
)
def test_the_state_puts_the_spoilt_adapter_in_and_takes_it_out(
    name: str, adapter: type, folder: Path
) -> None:
    spoilt, stack = bind(name, folder), stack_of()
    state = spoilt.open_state()
    for fact in FACTS[:2]:
        state.apply(spoilt.edit([fact]))
        assert type(stack.adapter) is adapter
    assert (state.index, len(stack.adapter.codebook)) == (2, 2)
    state.reset()
    assert (state.index, stack.adapter) == (0, None)


def test_no_radius_gives_way(folder: Path) -> None:
    """Balls so wide that they meet: the honest ones share the distance, these do not."""
    spoilt, honest = twins("grace-never-split", folder)
    assert spoilt.eps == honest.eps == 40.0
    found = {}
    for editor in (spoilt, honest):
        state = editor.open_state()
        for fact in FACTS:
            state.apply(editor.edit([fact]))
        found[editor] = state.codebook
        state.reset()
    wrong, right = found.values()
    assert torch.equal(wrong.keys, right.keys)
    assert wrong.radii.tolist() == [40.0] * len(FACTS)
    assert all(
        float(right.radii[i] + right.radii[j]) <= float(right.distances(right.keys[i])[j]) + 1e-6
        for i in range(len(FACTS))
        for j in range(i)
    )


def test_the_key_is_the_first_tokens(folder: Path) -> None:
    spoilt, honest = twins("grace-first-token", folder)
    wrong, right = (entered(editor.edit([FACT]).tensors) for editor in (spoilt, honest))
    row = query_row(stack_of(), FACT)
    keys = plain_keys(stack_of(), row.ids, 2)
    assert close(wrong.key, keys[0])
    assert close(right.key, keys[row.lookup])
    assert torch.equal(wrong.value, right.value)


# --- FT-L --------------------------------------------------------------------------------------


def test_nothing_bounds_an_entry(folder: Path) -> None:
    spoilt, honest = twins("ft_l-no-bound", folder, lr=0.01)
    bound = honest.settings.norm_constraint
    largest = [float(e.edit([FACT]).record["largest_change"]) for e in (spoilt, honest)]
    assert largest[1] <= bound < 0.01 <= largest[0]


def test_a_scene_holds_the_chains_own_facts(folder: Path) -> None:
    """A spoiler sees the order in which the chain edits, whatever its facts are."""
    seen: list[Scene] = []

    def spoiler(bound: Any, scene: Scene) -> Any:
        seen.append(scene)
        return bound

    spoiler.__module__ = "benchmarks.spoilt.altered"
    bound = bind(Entrant("x", "ft_l", "nothing", spoiler=spoiler), folder)
    assert isinstance(bound.edit([FACT]), Update)
    assert seen[0].order == FACTS
    assert seen[0].stack is stack_of()
