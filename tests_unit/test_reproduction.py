"""Reproductions: cells in their places, and the whole way on a tiny model."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from checks_ import FACTS, tiny_folder
from typer.testing import CliRunner

from editsuite.cli import app
from editsuite.measures import Observation
from editsuite.presets import read_preset
from editsuite.reproduction import Comparison, Point, compare
from editsuite.reproduction.comparison import asks_unedited, fits
from editsuite.reproduction.picture import axis_of, draw
from editsuite.reproduction.quantities import columns_of
from editsuite.reproduction.show import as_csv, words
from editsuite.runs import Case, Run
from editsuite.verdicts.findings import TABLE_1

MODEL = "smollm2-135m-instruct"
DEPTH = {MODEL: 30, "gpt2-xl": 48}


def seen(**values: float) -> dict[str, Observation]:
    """Observations of forty items; ``__`` stands for a point."""
    named = {name.replace("__", "."): value for name, value in values.items()}
    return {
        name: Observation(name, value, 40, "share", value - 0.1, value + 0.1, "wilson 95%")
        for name, value in named.items()
    }


def point(observed: Mapping[str, Observation], card: str = MODEL, /, **paper: Any) -> Point:
    return Point(card, Case("rome", (5,)), paper.get("edits", 0), paper, observed)


def cells(found: Comparison, **settings: Any) -> dict[str, str]:
    """The cells of the one row of some settings, as they are printed."""
    (line,) = [one for one in found.lines if settings.items() <= one.settings.items()]
    return {cell.column: words(cell) for cell in line.cells}


def test_recall_stands_beside_the_papers_in_percent() -> None:
    observed = seen(
        reliability__sequential__teacher_forced=0.5,
        reliability__individual__teacher_forced=1.0,
        reliability__individual__generated=0.25,
    )
    one = point(observed, method="rome", edits=10)
    found = compare(read_preset("table-2"), [one], DEPTH)
    assert cells(found, method="rome", edits=10) == {
        "sequential_reliability": "50.0 / 66.7",
        "sequential_generalization": "- / 69.7",
        "individual_reliability": "100.0 / 93",
        "individual_generalization": "- / 87.3",
    }
    assert cells(found, method="memit", edits=100)["sequential_reliability"] == "- / 0.07"
    assert len(found.lines) == 13


def test_the_base_row_is_the_unedited_model_and_the_average_needs_all_eight() -> None:
    scores = {f"capability.{name}.score": 0.1 * i for i, name in enumerate(TABLE_1)}
    observed = seen(**{name.replace(".", "__"): value for name, value in scores.items()})
    found = compare(read_preset("table-1"), [point(observed, edits=0)], DEPTH)
    base = cells(found, method="base", edits=0)
    assert base["average"] == "35.0 / 32.7"
    assert base["mmlu"] == "0.000 / 46.8"
    assert cells(found, method="rome", edits=1)["mmlu"] == "- / 46.9"
    del observed["capability.code.score"]
    found = compare(read_preset("table-1"), [point(observed, edits=0)], DEPTH)
    assert cells(found, method="base")["average"] == "- / 32.7"


def test_one_unedited_look_serves_every_layer_of_table_12() -> None:
    observed = seen(perplexity__prose=71.0)
    found = compare(read_preset("table-12"), [point(observed, edits=0)], DEPTH)
    for layer in (5, 10, 30):
        assert cells(found, layer=layer, edits=0) == {"text_perplexity": "71.0 / 10.6"}


def test_temperatures_and_samples_keep_apart() -> None:
    runs = [
        point(seen(capability__commonsense__score=0.1 * i), edits=10, temperature=t)
        for i, t in enumerate((0.0, 0.2, 0.5, 0.8))
    ]
    found = compare(read_preset("table-3"), runs, DEPTH)
    assert cells(found, temperature=0.5, edits=10) == {"commonsense_qa": "20.0 / 44.6"}
    runs = [point(seen(capability__commonsense__score=0.3), edits=10, sample="c")]
    found = compare(read_preset("table-11"), runs, DEPTH)
    assert cells(found, sample="c", edits=10) == {"commonsense_qa": "30.0 / 49.1"}
    assert cells(found, sample="d", edits=10) == {"commonsense_qa": "- / 49.1"}


def test_attention_layers_go_by_depth() -> None:
    """By hand: 25 of 48 is 25 / 47 of 29, 15.4, so 15 of 30."""
    observed = seen(saliency_by_layer__s_wp__L15=0.4, saliency_by_layer__s_wp__L25=0.9)
    found = compare(read_preset("table-14"), [point(observed, edits=1000)], DEPTH)
    assert cells(found, attention_layer=25)["s_wp"] == "0.400 / 0.01"
    own = [point(observed, "gpt2-xl", edits=1000, model="gpt2-xl")]
    found = compare(read_preset("table-14"), own, DEPTH)
    assert cells(found, attention_layer=25)["s_wp"] == "0.900 / 0.01"


def test_where_the_model_wrote_nothing_the_paper_has_a_stroke() -> None:
    found = compare(read_preset("table-4"), [point({}, layer=10, edits=75)], DEPTH)
    assert cells(found, layer=10, edits=75) == {"answer_perplexity": "- / /"}


def test_a_state_that_the_table_lacks_has_a_row_of_its_own() -> None:
    observed = seen(parameters__correlation=0.5)
    found = compare(read_preset("table-8"), [point(observed, edits=3, layer=5)], DEPTH)
    assert cells(found, edits=3) == {"similarity": "0.500"}
    assert found.lines[-1].where == "rome-L5"


def test_one_model_stands_in_for_all_and_the_papers_own_for_itself() -> None:
    observed = seen(parameters__correlation=0.5)
    found = compare(read_preset("table-8"), [point(observed, edits=10, layer=5)], DEPTH)
    assert cells(found, model="llama-2-7b", edits=10) == {"similarity": "0.500 / 0.946"}
    assert cells(found, model="llama-2-7b-chat", edits=10) == {"similarity": "0.500 / 0.949"}
    own = point(observed, edits=10, layer=5, model="llama-2-7b-chat")
    found = compare(read_preset("table-8"), [own], DEPTH)
    assert cells(found, model="llama-2-7b", edits=10) == {"similarity": "- / 0.946"}


def test_settings_fit_where_nothing_that_both_tell_differs() -> None:
    assert fits({"method": "rome", "edits": 1}, {"edits": 1})
    assert not fits({"method": "rome", "edits": 1}, {"edits": 10})
    assert fits({"method": "base", "layer": 5, "edits": 0}, {"edits": 0, "layer": 20})
    assert not fits({"temperature": 0.2, "edits": 0}, {"edits": 0, "temperature": 0.5})


def test_the_unedited_model_is_asked_where_the_table_has_its_row() -> None:
    asked = [
        n for n in range(1, 15) if n not in (5, 6) and asks_unedited(read_preset(f"table-{n}"))
    ]
    assert asked == [1, 3, 12, 13]
    assert columns_of(("parameters", "saliency")) == ("similarity", "s_wp", "s_qp", "s_ww")


def test_the_file_holds_both_numbers_and_the_interval() -> None:
    observed = seen(reliability__sequential__teacher_forced=0.5)
    found = compare(read_preset("table-2"), [point(observed, method="rome", edits=10)], DEPTH)
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert len(rows) == 13 * 4
    (one,) = [r for r in rows if r["value"]]
    assert (one["method"], one["edits"], one["paper"]) == ("rome", "10", "66.7")
    assert [float(one[name]) for name in ("value", "low", "high")] == pytest.approx([50, 40, 60])
    assert (one["n"], one["observation"]) == ("40", "reliability.sequential.teacher_forced")


@pytest.mark.parametrize(("name", "axis"), [("table-2", "edits"), ("table-7", "threshold")])
def test_the_picture_is_one_and_the_same_twice(name: str, axis: str) -> None:
    observed = seen(reliability__sequential__teacher_forced=0.5)
    found = compare(read_preset(name), [point(observed, method="rome", edits=10)], DEPTH)
    assert axis_of(found) == axis
    svg = draw(found, "svg")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert svg == draw(found, "svg")
    assert draw(found, "png").startswith(b"\x89PNG")


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})


@pytest.fixture
def command(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> list[str]:
    facts = tmp_path / "facts.jsonl"
    facts.write_text("".join(json.dumps(fact) + "\n" for fact in FACTS), encoding="utf-8")
    model = tiny_folder(tmp_path_factory.getbasetemp() / "checks-model")
    return [
        *("reproduce", "table-2", "--edit-model", str(model), "--edit-facts", str(facts)),
        *("--edit-counts", "1,2", "--edit-methods", "rome_noc", "--edit-layers", "1"),
        *("--edit-cache", str(tmp_path / "cache"), "--edit-reports", str(tmp_path / "reports")),
    ]


def test_a_table_on_a_tiny_model_from_edit_to_picture(
    runner: CliRunner, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted run leaves no file; the next goes on; a third edits and looks at nothing."""
    folder = tmp_path / "reports" / "reproduce"
    observe = Run.observe

    def stop(self: Run, case: Case, edits: int, names: Any) -> list[Observation]:
        if edits == 2:
            raise KeyboardInterrupt
        return observe(self, case, edits, names)

    monkeypatch.setattr(Run, "observe", stop)
    result = runner.invoke(app, command)
    assert result.exit_code == 130
    assert "interrupted after 1 states" in result.stderr
    assert not folder.exists()
    monkeypatch.undo()

    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    assert {path.suffix for path in folder.iterdir()} == {".csv", ".svg", ".png"}
    (file,) = folder.glob("*.csv")
    first = file.read_text(encoding="utf-8")
    rows = [r for r in csv.DictReader(io.StringIO(first)) if r["value"]]
    assert {(r["edits"], r["column"]) for r in rows} >= {("2", "individual_reliability")}
    assert all(r["where"] == "rome_noc-L1" and r["n"] in ("1", "2") for r in rows)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was done again")

    monkeypatch.setattr("editsuite.editors.rome.BoundRome.edit", refuse)
    monkeypatch.setattr("editsuite.measures.recall.Recall.look", refuse)
    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    assert file.read_text(encoding="utf-8") == first


def test_a_dry_run_says_what_it_takes_and_does_nothing(
    runner: CliRunner, command: list[str], tmp_path: Path
) -> None:
    result = runner.invoke(app, [*command, "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "1 chains, 2 states, about" in result.stdout
    assert "in place of llama-2-7b" in result.stdout
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("table-5", [], "table-5 has no runs"),
        ("table-99", [], "it can be table-1"),
        ("table-2", ["--edit-methods", "mend"], "nothing of table-2 can be run"),
        ("table-2", ["--edit-counts", "9"], "usable facts"),
        ("table-2", ["--edit-layers", "4"], "layers 0 to 3"),
    ],
)
def test_what_cannot_be_run_is_refused_before_a_model_is_loaded(
    runner: CliRunner,
    command: list[str],
    name: str,
    more: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("editsuite.runs.run.load_model", refuse)
    result = runner.invoke(app, ["reproduce", name, *command[2:], *more])
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_a_measure_that_this_version_lacks_is_named(
    runner: CliRunner, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("editsuite.runs.measuring.known_measures", lambda: frozenset({"recall"}))
    result = runner.invoke(app, command)
    assert result.exit_code == 2
    assert "no such measure in this version" in result.stderr
