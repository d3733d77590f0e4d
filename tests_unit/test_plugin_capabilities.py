"""Checks of capabilities through pytest: what is asked, what is left out, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from checks_ import ROOT, Checks, make_checks

from editsuite.chains import Chain
from editsuite.errors import OptionError
from editsuite.measures.capabilities.choice import Choice, parse_items
from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX
from editsuite.plugin.options import read_settings
from editsuite.runs import Case, Run

SENTENCES = [
    ("The cat sleeps on the mat.", "The cat is asleep.", "entailment"),
    ("The cat sleeps on the mat.", "The cat is awake.", "not_entailment"),
    ("All birds here can fly.", "Some birds here can fly.", "entailment"),
    ("No bird here can swim.", "A bird here can swim.", "not_entailment"),
]


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Checks:
    made = make_checks(pytester, tmp_path_factory, monkeypatch, "capabilities-cache")
    shutil.copytree(
        ROOT / "tests_capabilities",
        pytester.path / "tests_capabilities",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return made


def axb(folder: Path, *, turned: bool = False) -> Path:
    """AX-b's original form, with sentences of our own."""
    lines = [
        json.dumps({"idx": str(i), "label": label, "sentence1": one, "sentence2": two})
        for i, (one, two, label) in enumerate(SENTENCES)
    ]
    file = folder / "superglue_axb" / "AX-b.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines[::-1] if turned else lines) + "\n", encoding="utf-8")
    return file


def test_what_is_not_there_is_left_out_by_name(checks: Checks) -> None:
    data = checks.folder / "data"
    axb(data)
    result = checks.inside(
        "tests_capabilities", f"--edit-data={data}", "-rs", "--edit-missing-baseline=observe"
    )
    # Eight capabilities and the findings, after one edit and after two.
    assert result.parseoutcomes() == {"passed": 2, "skipped": 16}
    for name in ("mmlu", "math", "bbh", "commonsense_qa", "c3", "tydiqa_goldp", "mbpp"):
        result.stdout.fnmatch_lines([f"*SKIPPED*{name}*{data}*"])
    (report,) = (checks.folder / "reports").rglob("observations.json")
    names = {row["name"] for row in json.loads(report.read_text(encoding="utf-8"))["rows"]}
    assert {f"{PREFIX}entailment.{n}" for n in ("score", "gold", "lost", "won")} <= names


def test_baselines_of_benchmarks_are_not_those_of_probes(checks: Checks) -> None:
    data = checks.folder / "data"
    axb(data)
    options = ("tests_capabilities", "-k", "entailment", f"--edit-data={data}", "--edit-items=3")
    made = checks.inside(*options, "--snapshot-update", counts="1")
    assert made.parseoutcomes()["passed"] == 1
    assert "axb-generation.items3.t0x1" in checks.baseline().name
    axb(data, turned=True)  # the order of a file is no matter
    assert checks.inside(*options, counts="1").parseoutcomes()["passed"] == 1


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--edit-data=nowhere", "nowhere: is no folder"),
        ("--edit-items=0", "--edit-items is '0'"),
        ("--edit-items=some", "--edit-items is 'some'"),
        ("--edit-benchmarks=mmlu", "benchmark 'mmlu' is unknown; known are"),
        ("--edit-benchmarks=mmlu.loglikelihood", "--edit-benchmarks needs the benchmarks' files"),
        ("--edit-temperature=warm", "--edit-temperature is 'warm'"),
        ("--edit-temperature=-1", "--edit-temperature is -1"),
        ("--edit-repeats=3", "at temperature 0 every repeat says the same"),
    ],
)
def test_what_cannot_be_asked_is_told_before_a_model_is_loaded(
    option: str, words: str, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("editsuite.runs.run.load_model", load)
    result = checks.inside("tests_capabilities", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{words}*"])


def test_a_damaged_file_is_told_with_its_line(checks: Checks) -> None:
    data = checks.folder / "data"
    file = axb(data)
    file.write_text(file.read_text(encoding="utf-8") + "{broken\n", encoding="utf-8")
    result = checks.inside("tests_capabilities", f"--edit-data={data}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*AX-b.jsonl, line 5: is no JSON*"])


def test_two_ways_to_ask_one_capability_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="two of one capability"):
        Choice(data=tmp_path, benchmarks=("mmlu.loglikelihood", "mmlu.ppl"))
    chosen = Choice(data=tmp_path, benchmarks=("mmlu.loglikelihood",))
    assert chosen.benchmark("knowledge").mode == "loglikelihood"
    assert {name: chosen.benchmark(name).capability for name in CAPABILITIES} == {
        name: name for name in CAPABILITIES
    }


@pytest.mark.parametrize(("text", "wanted"), [("7", 7), ("all", "all")])
def test_a_number_of_items_is_read(text: str, wanted: object) -> None:
    assert parse_items(text) == wanted


def test_an_edited_state_never_gets_the_unedited_models_answers(checks: Checks) -> None:
    """The kept looks are by the state's digest: what lm-eval's own cache of answers is not."""
    data = checks.folder / "data"
    axb(data)
    config = checks.pytester.parseconfig(*checks.options(), f"--edit-data={data}")
    case, name = Case("rome_noc", (1,)), f"{PREFIX}entailment"

    def seen(edits: int, cache: str) -> list[float]:
        import dataclasses

        settings = read_settings(config)
        run = Run(dataclasses.replace(settings, cache=checks.folder / cache))
        run.observe(case, edits, [name])
        measure = run.measures[name]
        looks = measure.looks(edits)
        chain: Chain = run.chain(case)
        assert chain.digest(edits) != "unedited"
        gold: list[float] = run.take(case, measure, looks[-1])["gold"]
        return gold

    one, two = seen(1, "together"), seen(2, "together")
    assert one != two
    assert two == seen(2, "alone")
