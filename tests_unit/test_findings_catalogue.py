"""The page of findings is what is generated, and what is expected of the default model comes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from findings_ import paper
from typer.testing import CliRunner

from editsuite.cards import resolve_card
from editsuite.cli import app
from editsuite.errors import BaselineError
from editsuite.plugin.evidence import evidence
from editsuite.report.findings import page
from editsuite.verdicts.findings import FINDINGS, Outcome, Part, Readings, judge_all
from editsuite.verdicts.findings.expected import (
    changes,
    contradictions,
    read_expected,
    write_expected,
)

ROOT = Path(__file__).resolve().parents[1]
MODEL = "smollm2-135m-instruct"
EXPECTED = ROOT / "baselines" / MODEL / "findings.json"
ACCEPT = "if this is meant: editsuite findings --accept --write docs/findings.md, and commit both"


@pytest.fixture(scope="module")
def on_model() -> Mapping[str, Outcome]:
    return judge_all(evidence(ROOT / "baselines", resolve_card(MODEL)), MODEL)


def test_what_becomes_of_each_finding_is_what_is_expected(on_model: Mapping[str, Outcome]) -> None:
    moved = changes(read_expected(EXPECTED), on_model)
    assert not moved, "\n".join((*moved, ACCEPT))


def test_the_page_is_what_is_generated(on_model: Mapping[str, Outcome]) -> None:
    text = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert text == page(FINDINGS, judge_all(paper()), MODEL, on_model), ACCEPT


def test_the_page_has_every_finding_with_its_numbers(on_model: Mapping[str, Outcome]) -> None:
    text = page(FINDINGS, judge_all(paper()), MODEL, on_model)
    for one in FINDINGS:
        assert f"## {one.id}\n" in text
        assert one.statement in text
        for part in on_model[one.id].parts:
            assert part.words in text


def runner() -> CliRunner:
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})


def copied(folder: Path) -> Path:
    """The default model's baselines of ROME and of GRACE, in a folder of their own."""
    for name in ("rome/L5.json", "grace/L28.json"):
        file = folder / MODEL / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((ROOT / "baselines" / MODEL / name).read_bytes())
    return folder


def test_the_command_shows_accepts_and_sees_a_change(tmp_path: Path) -> None:
    folder, target = copied(tmp_path / "baselines"), tmp_path / "page.md"
    options = ["findings", "--edit-baselines", str(folder)]
    shown = runner().invoke(app, [*options, "--numbers", "--write", str(target)])
    assert shown.exit_code == 0, shown.output
    assert "grace-keeps-all" in shown.stdout
    assert "mean retention 1 " in shown.stdout
    assert "## grace-keeps-all" in target.read_text(encoding="utf-8")
    accepted = runner().invoke(app, [*options, "--accept"])
    assert accepted.exit_code == 0
    assert runner().invoke(app, options).exit_code == 0
    file = folder / MODEL / "grace" / "L28.json"
    held = json.loads(file.read_text(encoding="utf-8"))
    state = held["baselines"]["test_code[grace-L28-n100]"]["observations"]
    state["capability.code.score"]["value"] = state["capability.code.retention"]["value"] = 0.25
    state["capability.code.lost"]["value"] = 0.75
    file.write_text(json.dumps(held), encoding="utf-8")
    changed = runner().invoke(app, options)
    assert changed.exit_code == 1
    assert "changed: grace-keeps-all: holds before, fails now" in changed.stdout
    assert "--accept" in changed.stdout


def test_an_unknown_model_is_a_message(tmp_path: Path) -> None:
    result = runner().invoke(
        app, ["findings", "--edit-model", "gpt2", "--edit-baselines", str(tmp_path)]
    )
    assert result.exit_code == 2
    assert "no baselines of gpt2" in result.stderr


def test_what_is_expected_is_read_as_it_was_written(tmp_path: Path) -> None:
    outcomes = judge_all(paper())
    write_expected(tmp_path / "a" / "findings.json", outcomes)
    again = read_expected(tmp_path / "a" / "findings.json")
    assert changes(again, outcomes) == ()
    assert contradictions(again, outcomes) == ()
    nothing = judge_all(Readings(), "llama-2-7b")
    assert any(
        "grace-keeps-all: holds before, not observed now" in x for x in changes(again, nothing)
    )
    assert contradictions(again, nothing) == ()


def test_a_run_contradicts_by_what_it_could_tell() -> None:
    old = {"x": Outcome("holds", (Part("a", "holds", ""), Part("b", "undecided", "")))}
    new = {
        "x": Outcome(
            "fails", (Part("a", "fails", "0.5"), Part("b", "fails", ""), Part("c", "fails", ""))
        )
    }
    assert contradictions(old, new) == ("x, a: holds is expected, fails was found: 0.5",)
    lines = changes(old, new | {"y": Outcome("holds", ())})
    assert lines == (
        "x: holds before, fails now",
        "x, a: holds before, fails now (0.5)",
        "x, b: undecided before, fails now",
        "x, c: not there before, fails now",
        "y: is new",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"schema": 2, "findings": {}}',
        '{"schema": 1, "findings": {"x": {"outcome": "maybe", "parts": {}}}}',
    ],
)
def test_a_damaged_file_is_told(text: str, tmp_path: Path) -> None:
    file = tmp_path / "findings.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match=r"findings\.json.*--accept"):
        read_expected(file)
