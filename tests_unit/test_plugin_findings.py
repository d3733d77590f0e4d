"""A run judges the paper's findings by what its checks observed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checks_ import Checks, make_checks

from editsuite.cards import resolve_card
from editsuite.measures.capabilities.choice import Choice
from editsuite.plugin.cases import EditCase
from editsuite.plugin.evidence import committed, observations
from editsuite.plugin.run_findings import RunFindings, place_of, readings_of
from editsuite.runs import Case, RunSettings
from editsuite.verdicts.findings import Outcome, Part, judge_all
from editsuite.verdicts.findings.expected import write_expected

BASELINES = Path(__file__).resolve().parents[1] / "baselines"
CARD = resolve_card("smollm2-135m-instruct")
SETTINGS = RunSettings(CARD.name, "builtin", (1, 100), None, 0, "cpu", "float32", Path("cache"))


def rows() -> Iterator[tuple[EditCase, dict[str, Any]]]:
    """The committed baselines as a run that observed just these would carry them."""
    for file in sorted((BASELINES / CARD.name).glob("*/*.json")):
        layers = tuple(map(int, file.stem.removeprefix("L").split("-")))
        held = json.loads(file.read_text(encoding="utf-8"))["baselines"]
        for name, group in held.items():
            edits = int(name.rpartition("-n")[2].removesuffix("]"))
            case = EditCase(Case(file.parent.name, layers), edits)
            for one in observations(group["observations"], file):
                place = {"method": case.case.name, "layer": list(layers), "edits": edits}
                yield case, {**place, **dataclasses.asdict(one)}


def test_a_run_that_observes_the_baselines_judges_as_they_do() -> None:
    told = [*rows()]
    found = readings_of((row for _, row in told), (case for case, _ in told), SETTINGS, CARD)
    expected = committed(BASELINES, CARD)
    assert {one.key: (one.value, one.low, one.high) for one in found} == {
        one.key: (one.value, one.low, one.high) for one in expected
    }
    here, there = judge_all(found, CARD.name), judge_all(expected, CARD.name)
    assert here == there
    # A run of one chain says nothing of the others.
    own = [row for case, row in told if case.case == Case("rome", (5,))]
    alone = judge_all(readings_of(own, (case for case, _ in told), SETTINGS, CARD), CARD.name)
    assert alone["grace-keeps-all"].verdict == "not observed"
    assert [part.name for part in alone["loss-by-20"].parts] == ["rome, 20 edits"]


def test_a_chains_settings_are_those_of_the_run() -> None:
    usual = place_of(Case("grace", (28,)), SETTINGS, CARD).settings(10)
    assert (usual["usual"], usual["threshold"], usual["sample"]) == (1, 1.0, "0")
    other = dataclasses.replace(
        SETTINGS,
        seed=3,
        hyperparameters={"grace.eps": 5.0},
        capabilities=Choice(temperature=0.5),
    )
    found = place_of(Case("grace", (28,)), other, CARD).settings(10)
    assert (found["usual"], found["threshold"]) == (0, 5.0)
    assert (found["sample"], found["temperature"]) == ("3", 0.5)
    foreign = dataclasses.replace(SETTINGS, facts="zsre:file.json")
    assert place_of(Case("rome", (5,)), foreign, CARD).settings(1)["sample"] == "zsre:file.json 0"
    assert place_of(Case("rome", (5,), 10), SETTINGS, CARD).settings(10)["usual"] == 0


def test_what_was_judged_in_lines() -> None:
    outcome = Outcome("fails", (Part("rome, 20 edits", "fails", "mean retention 0.97"),))
    judged = RunFindings({"loss-by-20": outcome, "x": Outcome("not observed", ())}, ())
    assert judged.lines(numbers=False)[1:] == ["  not reproduced: loss-by-20"]
    assert judged.lines(numbers=True)[2:] == ["    rome, 20 edits: fails; mean retention 0.97"]
    assert RunFindings({"x": Outcome("not observed", ())}, ()).lines(numbers=True) == []
    assert "contradicted: it" in RunFindings({}, ("it",)).lines(numbers=False)


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Checks:
    return make_checks(pytester, tmp_path_factory, monkeypatch)


def test_a_run_that_contradicts_what_is_expected_is_red(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = ("-k", "parameters")
    outcome = Outcome("holds", (Part("rome, 1 edit", "holds", "0.97"),))
    monkeypatch.setattr("editsuite.plugin.run_findings.judge_all", lambda *_: {"x": outcome})
    monkeypatch.setattr(RunSettings, "usual", True)
    made = checks.inside("--snapshot-update", *only, counts="1")
    assert made.ret == 0
    made.stdout.fnmatch_lines(["findings of the paper: 1 reproduced, *", "  reproduced: x"])
    (told,) = (checks.folder / "reports").rglob("findings.txt")
    assert "rome, 1 edit: holds; 0.97" in told.read_text(encoding="utf-8")
    file = checks.baseline().parents[1] / "findings.json"
    write_expected(file, {"x": outcome})
    assert checks.inside(*only, counts="1").ret == 0
    fails = Outcome("fails", (Part("rome, 1 edit", "fails", ""),))
    write_expected(file, {"x": fails})
    red = checks.inside(*only, counts="1")
    assert red.ret == pytest.ExitCode.TESTS_FAILED
    red.stdout.fnmatch_lines(["contradicted: x, rome, 1 edit: fails is expected, holds was found*"])
    assert checks.inside("--snapshot-update", *only, counts="1").ret == 0
    file.write_text("{", encoding="utf-8")
    red = checks.inside(*only, counts="1")
    assert red.ret == pytest.ExitCode.TESTS_FAILED
    red.stdout.fnmatch_lines(["contradicted: *findings.json: cannot be read*"])
