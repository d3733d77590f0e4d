"""One edit made huge on purpose is found, and named; a chain of like edits has no jump."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from typer.testing import CliRunner

from editsuite.cards import tiny_model
from editsuite.cli import app
from editsuite.editors import LowRank, Update
from editsuite.editors.rome import BoundRome
from editsuite.errors import OptionError
from editsuite.measures import Look, View, Weakspots
from editsuite.measures.jumps import LEAST_STEPS, Rule, jumps, robust_z
from editsuite.measures.moments import moments
from editsuite.measures.weakspots import PASSAGES, TOKENS, Damage, excerpts
from editsuite.runs import Case, Run, RunSettings
from editsuite.runs.weakspots import EditStep, associations, edit_steps, moments_by_edit

pytestmark = pytest.mark.usefixtures("one_thread")

EDITS, HUGE = 10, 6
CASE = Case("rome_noc", (1,))
STEPS = st.integers(LEAST_STEPS, 40).flatmap(
    lambda n: arrays(np.float64, n, elements=st.floats(-1, 1).map(lambda x: round(x, 3)))
)


# --- what stands out ---------------------------------------------------------------------------


@given(STEPS)
def test_the_robust_z_is_scipys(steps: np.ndarray[Any, Any]) -> None:
    scale = stats.median_abs_deviation(steps, scale="normal")
    found = robust_z(steps.tolist())
    if scale > 0:
        np.testing.assert_allclose(found, (steps - np.median(steps)) / scale, rtol=1e-9, atol=1e-9)
    else:
        far = np.abs(steps - np.median(steps)).mean() * math.sqrt(math.pi / 2)
        expected = (steps - np.median(steps)) / far if far > 0 else np.zeros(len(steps))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@given(STEPS, st.floats(0.1, 10), st.floats(-5, 5))
def test_the_robust_z_knows_no_unit_and_no_origin(
    steps: np.ndarray[Any, Any], scale: float, shift: float
) -> None:
    found = robust_z((scale * steps + shift).tolist())
    np.testing.assert_allclose(found, robust_z(steps.tolist()), rtol=1e-3, atol=1e-6)


@given(STEPS, st.randoms())
def test_the_order_of_steps_does_not_matter(steps: np.ndarray[Any, Any], random: Any) -> None:
    order = list(range(len(steps)))
    random.shuffle(order)
    found = robust_z(steps.tolist())
    np.testing.assert_array_equal(robust_z(steps[order].tolist()), found[order])


@given(STEPS, st.integers(0, 39), st.floats(50, 1e6))
def test_a_huge_step_is_found_wherever_it_is(
    steps: np.ndarray[Any, Any], at: int, huge: float
) -> None:
    at %= len(steps)
    steps = steps.copy()
    steps[at] = huge
    assert at in jumps(steps.tolist(), steps.tolist())
    assert at not in jumps((-steps).tolist(), (-steps).tolist())  # a fall is no damage


@pytest.mark.parametrize("n", [10, 20, 50, 100])
def test_normal_steps_hold_a_jump_in_one_series_of_a_hundred(n: int) -> None:
    random, rule = np.random.default_rng(n), Rule(least=-math.inf)
    series = random.standard_normal((4000, n)) * 0.3
    alarms = sum(bool(jumps(steps, np.full(n, 1.0).tolist(), rule)) for steps in series.tolist())
    # 1 % and four standard errors of the simulation.
    assert alarms / 4000 <= 0.01 + 4 * math.sqrt(0.01 * 0.99 / 4000)


def test_all_three_conditions_are_needed() -> None:
    steps = [0.01, -0.01] * 10
    steps[7] = 1.0
    certain = [1.0] * 20
    assert jumps(steps, certain) == [7]
    assert jumps(steps, certain, Rule(z=1e9)) == []
    assert jumps(steps, certain, Rule(least=1.5)) == []
    assert jumps(steps, [-0.1] * 20) == []
    assert jumps([1.0] * 20, certain) == []  # all alike: none stands out
    assert jumps([1.0, *[0.0] * (LEAST_STEPS - 2)], certain[: LEAST_STEPS - 1]) == []


def test_a_step_to_infinity_is_a_jump_and_what_follows_is_none() -> None:
    steps = [0.1, math.inf, math.nan, math.nan]
    assert jumps(steps, [math.nan] * 4) == [1]
    assert robust_z(steps)[1] == math.inf
    assert robust_z([math.inf, math.nan])[0] == math.inf
    assert all(math.isnan(z) for z in robust_z(steps)[2:])


# --- damage ------------------------------------------------------------------------------------


def test_damage_is_the_rise_of_the_mean_with_its_interval() -> None:
    nll = [[10.0, 40.0, 30.0], [12.0, 44.0, 39.0], [12.0, 44.0, 39.0]]
    damage = Damage.of(nll, [10, 20, 20])
    assert damage.steps.tolist() == pytest.approx([15 / 50, 0])
    assert damage.levels.tolist() == pytest.approx([15 / 50, 15 / 50])
    off = [2 - 0.3 * 10, 4 - 0.3 * 20, 9 - 0.3 * 20]
    error = math.sqrt(3 / 2 * sum(x * x for x in off)) / 50
    assert damage.lows[0] == pytest.approx(0.3 - 1.959963984540054 * error)
    assert damage.worst == 0


def test_a_model_that_says_nan_has_jumped_there() -> None:
    nll = [[10.0, 20.0], [10.1, 20.1], [math.nan, 20.2], [math.nan, math.nan]]
    damage = Damage.of(nll, [5, 5])
    assert damage.jumps() == [1]
    assert damage.worst == 1
    measure = Weakspots()
    seen = {Look(i): {"nll": row, "tokens": [5, 5]} for i, row in enumerate(nll)}
    (worst,) = measure.observe(3, seen)
    assert math.isnan(worst.value)


def test_one_passage_has_no_interval() -> None:
    damage = Damage.of([[10.0], [20.0]], [10])
    assert damage.lows[0] == -math.inf
    assert damage.jumps() == []


def test_the_passages_are_spread_over_the_prose() -> None:
    assert len({*excerpts()}) == PASSAGES
    measure = Weakspots()
    assert list(measure.looks(3)) == [Look(0), Look(1), Look(2), Look(3)]
    assert list(measure.looks(20, 10)) == [Look(0), Look(10), Look(20)]
    assert measure.identity == Weakspots().identity


# --- chains ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spoilt:
    """ROME whose update for one fact is scaled, as if its value were so many times as far off."""

    scale: float
    fact: str

    def install(self, patch: pytest.MonkeyPatch) -> None:
        edit = BoundRome.edit

        def spoilt(bound: BoundRome, requests: Any) -> Update:
            update = edit(bound, requests)
            ((name, change),) = update.factors.items()
            assert isinstance(change, LowRank)
            # The chain's other updates are made equally long: the spoilt one is the only odd one.
            far = 0.3 * (self.scale if requests[0].id == self.fact else 1.0)
            output = far * change.output / change.output.norm()
            norm = float(output.norm() * change.input.norm())
            return Update(
                {name: LowRank(output, change.input)}, {**update.record, "update_norm": norm}
            )

        patch.setattr(BoundRome, "edit", spoilt)


def trained_folder(folder: Path) -> Path:
    """A tiny model that has read the passages: one that knows nothing has nothing to lose."""
    tiny = tiny_model("llama")
    model: Any = tiny.model.requires_grad_(True)
    read = [tiny.tokenizer(text)["input_ids"][: TOKENS + 1] for text in excerpts()]
    ids = torch.tensor(read)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    assert model(input_ids=ids, labels=ids).loss.item() < 2.0
    model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("weakspots")
    facts = [
        {
            "id": f"fact-{i}",
            "prompt": f"The mother tongue of {name} is",
            "subject": name,
            "target_new": target,
        }
        for i, (name, target) in enumerate(
            (f"{first} {last}", target)
            for first, target in (("Ada", "Thai"), ("Bo", "Urdu"), ("Cy", "Zulu"), ("Di", "Fon"))
            for last in ("Vole", "Tern", "Finch")
        )
    ]
    path = folder / "facts.jsonl"
    path.write_text("".join(json.dumps(fact) + "\n" for fact in facts), encoding="utf-8")
    return RunSettings(
        model=str(trained_folder(folder / "model")),
        facts=str(path),
        counts=(EDITS,),
        layers=(1,),
        seed=0,
        device="cpu",
        dtype="float32",
        cache=folder / "cache",
        hyperparameters={"rome_noc.v_num_grad_steps": 2},
    )


def steps_of(settings: RunSettings, scale: float, folder: str) -> tuple[Run, tuple[EditStep, ...]]:
    run = Run(replace(settings, cache=settings.cache / folder))
    with pytest.MonkeyPatch.context() as patch:
        Spoilt(scale, run.order[HUGE].id).install(patch)
        return run, edit_steps(run, CASE, EDITS)


@pytest.fixture(scope="module")
def broken(settings: RunSettings) -> tuple[Run, tuple[EditStep, ...]]:
    return steps_of(settings, 100.0, "huge")


@pytest.fixture(scope="module")
def even(settings: RunSettings) -> tuple[Run, tuple[EditStep, ...]]:
    return steps_of(settings, 1.0, "even")


def test_the_huge_edit_is_found_and_named(broken: tuple[Run, tuple[EditStep, ...]]) -> None:
    run, steps = broken
    (jump,) = [step for step in steps if step.jump]
    request = run.order[HUGE]
    assert (jump.index, jump.facts, jump.subjects) == (HUGE + 1, request.id, request.subject)
    others = [step for step in steps if not step.jump]
    assert jump.step > max(step.step for step in others)
    assert jump.update_norm == pytest.approx(100 * float(others[0].update_norm or 0))
    assert jump.drift is not None
    assert jump.drift > 10 * (steps[HUGE - 1].drift or math.inf)
    assert jump.z >= 6
    found = {o.name: o for o in run.observe(CASE, EDITS, ["weakspots"])}
    assert found["weakspots.jumps"].value == 1
    assert found["weakspots.worst_edit"].value == pytest.approx(math.exp(jump.step))
    assert found["weakspots.worst_edit"].low == pytest.approx(math.exp(jump.low))


def test_a_chain_of_like_edits_has_no_jump(even: tuple[Run, tuple[EditStep, ...]]) -> None:
    run, steps = even
    assert [step for step in steps if step.jump] == []
    assert {o.name: o.value for o in run.observe(CASE, EDITS, ["weakspots"])}[
        "weakspots.jumps"
    ] == 0
    assert max(abs(step.step) for step in steps) > 0, "nothing was edited: nothing is shown"


def test_the_steps_are_what_each_state_says(broken: tuple[Run, tuple[EditStep, ...]]) -> None:
    """Against transformers' own loss, state by state."""
    run, steps = broken
    chain, stack = run.chain(CASE), run.stack
    run.free(chain)
    tokenizer, model = stack.loaded.tokenizer, stack.loaded.model
    said = []
    for index in range(EDITS + 1):
        chain.go(index)
        total = count = 0.0
        for text in excerpts():
            ids = torch.tensor([tokenizer(text)["input_ids"][: TOKENS + 1]])
            with torch.no_grad():
                loss = float(model(input_ids=ids, labels=ids).loss)
            total, count = total + loss * (ids.shape[1] - 1), count + ids.shape[1] - 1
        said.append(total / count)
    chain.go(0)
    assert [s.step for s in steps] == pytest.approx(np.diff(said).tolist(), abs=1e-5)
    assert steps[-1].level == pytest.approx(said[-1] - said[0], abs=1e-5)


def test_the_curve_from_factors_is_that_of_the_states(
    broken: tuple[Run, tuple[EditStep, ...]],
) -> None:
    run, steps = broken
    chain = run.chain(CASE)
    for step in steps:
        run.free(chain)
        chain.go(step.index)
        (weight,) = chain.weights().values()
        slow = moments(weight.original, weight.current)
        assert step.correlation == pytest.approx(slow.correlation, rel=1e-6)
        assert step.drift == pytest.approx(slow.drift, rel=1e-5)
    chain.go(0)


def test_the_record_stands_beside_the_damage(even: tuple[Run, tuple[EditStep, ...]]) -> None:
    run, steps = even
    for step, record in zip(steps, run.records(CASE, EDITS), strict=True):
        assert step.facts == record["facts"]
        assert step.denominator == record["denominator"]
        assert step.key_norm == record["key_norm"]
        assert step.relative_norm == record["update_norm"] / record["weight_norm_before"]


def test_associations_are_scipys(broken: tuple[Run, tuple[EditStep, ...]]) -> None:
    _, steps = broken
    found = {a.name: a for a in associations(steps)}
    for name, association in found.items():
        values = [getattr(step, name) for step in steps]
        rho, p = stats.spearmanr(values, [step.step for step in steps])
        assert (association.rho, association.p) == pytest.approx((rho, p))
    assert "denominator" in found
    assert associations(steps[: LEAST_STEPS - 1]) == ()
    assert [abs(a.rho) for a in associations(steps)] == sorted(
        (abs(a.rho) for a in associations(steps)), reverse=True
    )


def test_a_codebook_moves_no_weight_at_any_edit(settings: RunSettings) -> None:
    run, case = Run(settings), Case("grace", (1,))
    run.ensure(case, 2)
    for held in moments_by_edit(run, case, 2):
        assert held is not None
        assert (held.correlation, held.drift, held.norm_ratio) == (1.0, 0.0, 1.0)
    run.free(None)


def test_a_dense_change_has_no_curve(settings: RunSettings) -> None:
    run, case = Run(settings), Case("ft_l", (1,))
    run.ensure(case, 2)
    assert list(moments_by_edit(run, case, 2)) == [None, None]
    run.free(None)


def test_half_a_batch_and_too_many_edits_are_refused(settings: RunSettings) -> None:
    run = Run(settings)
    with pytest.raises(OptionError, match="15 edits are no whole number of batches of 10"):
        edit_steps(run, Case("memit", (1,), 10), 15)
    with pytest.raises(OptionError, match="holds 12"):
        edit_steps(run, CASE, 99)


# --- the command -------------------------------------------------------------------------------


def command(settings: RunSettings, *more: str) -> list[str]:
    return [
        *("weakspots", "--method", CASE.method, "--layers", "1", "--edits", "3"),
        *("--model", settings.model, "--facts", settings.facts),
        *("--edit-cache", str(settings.cache), *more),
    ]


def test_the_command_says_it_and_writes_every_edit(settings: RunSettings, tmp_path: Path) -> None:
    to = tmp_path / "edits.csv"
    result = CliRunner().invoke(app, command(settings, "--csv", str(to)))
    assert result.exit_code == 0, result.output
    assert "rome_noc-L1 on" in result.output
    assert "no jump in 3 edits" in result.output
    with to.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == ["1", "2", "3"]
    run = Run(replace(settings, hyperparameters={}))
    for row, step in zip(rows, edit_steps(run, CASE, 3), strict=True):
        assert (row["chain"], row["facts"]) == (str(CASE), step.facts)
        assert float(row["step"]) == step.step
        assert float(row["denominator"]) == step.denominator


def test_the_command_marks_jumps_and_shows_the_largest_others(
    broken: tuple[Run, tuple[EditStep, ...]],
) -> None:
    from editsuite.commands.weakspots import csv_of, table_of

    _, steps = broken
    table = table_of(steps, 2)
    marks = [str(cell) for cell in table.columns[0].cells]
    indices = [int(str(cell)) for cell in table.columns[1].cells]
    assert sorted(indices) == indices
    assert [i for i, mark in zip(indices, marks, strict=True) if mark] == [HUGE + 1]
    assert len(indices) == 3
    written = csv_of({"a": steps, "b": steps[:1]}).splitlines()
    assert len(written) == 1 + EDITS + 1


def test_a_folder_that_is_not_there_is_named_before_any_work(settings: RunSettings) -> None:
    result = CliRunner().invoke(app, command(settings, "--csv", "/nowhere/at/all.csv"))
    assert result.exit_code == 2
    assert "there is no folder" in result.output


def test_looks_see_the_model_as_it_stands(settings: RunSettings) -> None:
    run = Run(settings)
    seen = Weakspots().look(View(run.stack, (), {}))
    assert len(seen["nll"]) == PASSAGES
    assert all(0 < n <= TOKENS for n in seen["tokens"])
