"""Checks of capabilities through pytest: what is asked, what is left out, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from checks_ import ROOT, Checks, make_checks

from editsuite.chains import Chain
from editsuite.errors import CapabilityError, OptionError
from editsuite.measures import Look
from editsuite.measures.capabilities.battery import Battery
from editsuite.measures.capabilities.benchmark import BENCHMARKS
from editsuite.measures.capabilities.capability import Capability
from editsuite.measures.capabilities.choice import Choice, parse_items
from editsuite.measures.capabilities.hub import PINNED, Hub
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
    rows = json.loads(report.read_text(encoding="utf-8"))["rows"]
    names = {row["name"] for row in rows}
    assert {f"{PREFIX}entailment.{n}" for n in ("score", "gold", "lost", "won")} <= names
    judged = {row["name"] for row in rows if "judged" in row}
    assert judged == names & {f"{PREFIX}entailment.{n}" for n in ("gold", "retention")}


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


def test_each_subset_counts_alike_however_many_items_it_has() -> None:
    """As the paper's Table 1 has it: the mean over subsets of the mean over their items."""
    benchmark = BENCHMARKS["mmlu.ppl"]
    subsets = {"law": [1.0, 1.0, 1.0, 0.0], "art": [0.0, 1.0]}
    weights = [6 / (2 * len(own)) for own in subsets.values() for _ in own]
    scores = [score for own in subsets.values() for score in own]
    before = {"weights": weights, "scores": [1.0] * 6, "gold": [0.0] * 6}
    after = {"weights": weights, "scores": scores, "gold": [0.0] * 6}
    measure = Capability(Battery("knowledge", benchmark.key, (), ""))
    found = {o.name: o.value for o in measure.observe(1, {Look(0): before, Look(1): after})}
    assert found["capability.knowledge.score"] == pytest.approx(benchmark.score(subsets))
    assert found["capability.knowledge.retention"] == pytest.approx(benchmark.score(subsets))


def test_the_hub_can_be_named_in_place_of_a_folder(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pinned is asked for; what is not is left out by name."""
    pinned: list[str] = []

    def documents(_: Hub, dataset: str) -> Any:
        if dataset not in PINNED:
            return original(Hub(), dataset)
        pinned.append(dataset)
        raise CapabilityError(dataset, "the hub", "no network here", "give files")

    original = Hub.documents
    monkeypatch.setattr(Hub, "documents", documents)
    result = checks.inside("tests_capabilities", "--edit-data=hub", "-rs", "-k", "reading")
    assert result.parseoutcomes()["skipped"] == 2
    assert "passed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(["*SKIPPED*c3: the hub*"])
    assert checks.inside("tests_capabilities", "--edit-data=hub").ret == pytest.ExitCode.USAGE_ERROR
    assert pinned
