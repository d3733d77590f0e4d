"""Checks of texts and answers through pytest: sources, judges, and states that write nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from capabilities_ import WRITERS
from checks_ import ROOT, Checks, assert_refused, make_checks

from editsuite.measures import Answers
from editsuite.measures.questions import Questions

TEXTS = "tests_analysis/test_perplexity.py"
ANSWERS = "tests_analysis/test_answers.py"
SILENCE = {"ids": ["a", "b"], "texts": ["", ""]}
OBSERVE = "--edit-missing-baseline=observe"


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> Checks:
    few = Answers(Questions(("a", "b"), ("Why is it dark?", "What is heavy?")))
    monkeypatch.setattr("editsuite.measures.known.Answers", lambda: few)
    checks = make_checks(pytester, tmp_path_factory, monkeypatch)
    shutil.copy(ROOT / ANSWERS, checks.folder / ANSWERS)
    return checks


def observed(checks: Checks) -> dict[str, Any]:
    return {row["name"]: row for row in checks.observations()["rows"]}


def wikitext(folder: Path) -> Path:
    file = folder / "some.txt"
    long = [" ".join(["word", str(n)] * 70) for n in range(3)]
    file.write_text("\n = Heading = \n \n" + "\n".join(long), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("--edit-texts=nonsense", "*--edit-texts is 'nonsense'*builtin, wikitext, wikitext:PATH*"),
        ("--edit-texts=wikitext:absent", "*absent holds none of WikiText's files*"),
        ("--edit-text-items=0", "*--edit-text-items is '0'*from 1, or all*"),
        ("--edit-judge=no-such-model", "*--edit-judge no-such-model*smollm2-135m-instruct*"),
        ("--edit-judge=./nowhere", "*--edit-judge*nowhere*"),
    ],
)
def test_an_impossible_value_stops_the_run_at_once(
    checks: Checks, option: str, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(checks, option, known, monkeypatch)


def test_a_named_text_has_names_and_baselines_of_its_own(checks: Checks) -> None:
    source = f"--edit-texts=wikitext:{wikitext(checks.folder)}"
    result = checks.inside(TEXTS, source, "--edit-text-items=2", "--snapshot-update", counts="1")
    assert result.ret == 0
    assert observed(checks).keys() == {"perplexity.text", "perplexity.text_ratio"}
    assert observed(checks)["perplexity.text"]["n"] == 2 * 127
    assert ".texts-" in checks.baseline().name
    assert checks.baseline().stem.endswith("-n2")
    again = checks.inside(TEXTS, source, "--edit-text-items=2", counts="1")
    again.assert_outcomes(passed=1)
    other = checks.inside(TEXTS, source, "--edit-text-items=3", counts="1")
    other.assert_outcomes(failed=1)  # another text, and no baseline of it


def test_another_judge_has_baselines_of_its_own(checks: Checks) -> None:
    from editsuite.cards import tiny_model

    folder = checks.folder / "a-judge"
    tiny = tiny_model("gpt2", 9)
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    result = checks.inside(ANSWERS, f"--edit-judge={folder}", "--snapshot-update", counts="1")
    assert result.ret == 0
    assert checks.baseline().stem.endswith("judge-a-judge")
    checks.inside(ANSWERS, counts="1").assert_outcomes(failed=1)
    found = observed(checks)
    assert found["perplexity.answers"]["n"] == 2
    assert found["perplexity.answers"]["value"] >= found["perplexity.answers_plain"]["value"]


def test_a_model_that_writes_nothing_is_a_slash_that_a_baseline_keeps(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = (ANSWERS, "--edit-remeasure")
    with monkeypatch.context() as silent:
        silent.setattr(Answers, "look", lambda *_: SILENCE)
        assert checks.inside(*run, "--snapshot-update", counts="1").ret == 0
        held = json.loads(checks.baseline().read_text("utf-8"))["baselines"]
        ((_, group),) = held.items()
        assert group["observations"].keys() == {"answers.short", "answers.empty"}
        result = checks.inside(*run, counts="1")
        result.assert_outcomes(passed=1)
        result.stdout.re_match_lines([r".*answers +/ +0 +none +pass"])
        assert observed(checks)["perplexity.answers"]["value"] is None
        checks.inside(*run, OBSERVE, counts="1").assert_outcomes(passed=1)
    result = checks.inside(*run, counts="1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*perplexity.answers *no baseline*"])


def test_a_model_that_falls_silent_fails(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    run = (ANSWERS, "--edit-remeasure")
    assert checks.inside(*run, "--snapshot-update", counts="1").ret == 0
    monkeypatch.setattr(Answers, "look", lambda *_: SILENCE)
    result = checks.inside(*run, counts="1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*perplexity.answers *no longer observed*"])
    verdicts = {name: row["verdict"] for name, row in observed(checks).items()}
    assert verdicts["perplexity.answers"] == verdicts["answers.short"] == "fail"


def test_benchmark_files_give_the_questions_and_their_absence_leaves_the_check_out(
    checks: Checks,
) -> None:
    folder = checks.folder / "data"
    folder.mkdir()
    result = checks.inside(ANSWERS, f"--edit-data={folder}", "-rs", counts="1")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*commonsense_qa*"])
    WRITERS["commonsense_qa"](folder)
    result = checks.inside(ANSWERS, f"--edit-data={folder}", "--edit-items=3", OBSERVE, counts="1")
    result.assert_outcomes(passed=1)
    assert observed(checks)["answers.short"]["n"] == 3
