"""Committed baselines and live observations as readings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from editsuite.cards import ModelCard, resolve_card
from editsuite.errors import BaselineError
from editsuite.measures.observation import Observation, share
from editsuite.measures.paired import retention
from editsuite.plugin.baseline_places import digest_of
from editsuite.plugin.evidence import committed, observations, pairs
from editsuite.verdicts.findings import Readings, judge_all
from editsuite.verdicts.findings.observed import read
from editsuite.verdicts.findings.quantities import OBSERVATIONS, quantity_of

BASELINES = Path(__file__).resolve().parents[1] / "baselines"


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return resolve_card("smollm2-135m-instruct")


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
@settings(max_examples=60, deadline=None)
def test_right_and_wrong_items_are_rebuilt_from_their_means(table: list[tuple[bool, bool]]) -> None:
    """The interval of a retention that a baseline stands for is the one its run had."""
    before, after = ([float(pair[i]) for pair in table] for i in (0, 1))
    n = len(table)
    lost = sum(a > b for a, b in zip(before, after, strict=True)) / n
    won = sum(b > a for a, b in zip(before, after, strict=True)) / n
    again = pairs(sum(after) / n, lost, won, n)
    one, other = retention("x", before, after), retention("x", *again)
    if math.isnan(one.value):
        assert math.isnan(other.value)
        return
    assert (one.value, one.low, one.high) == pytest.approx(
        (other.value, other.low, other.high), abs=1e-9
    )


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_items_between_right_and_wrong_get_no_narrower_interval(data: st.DataObject) -> None:
    n = data.draw(st.integers(5, 60))
    scores = st.lists(st.floats(0, 1), min_size=n, max_size=n)
    before, after = data.draw(scores), data.draw(scores)
    lost = math.fsum(max(0.0, a - b) for a, b in zip(before, after, strict=True)) / n
    won = math.fsum(max(0.0, b - a) for a, b in zip(before, after, strict=True)) / n
    again = pairs(math.fsum(after) / n, lost, won, n)
    assert math.fsum(again[0]) == pytest.approx(math.fsum(before), abs=1e-9)
    assert math.fsum(again[1]) == pytest.approx(math.fsum(after), abs=1e-9)
    assert all(-1e-12 <= x <= 1 + 1e-12 for x in (*again[0], *again[1]))


def groups() -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted((BASELINES / "smollm2-135m-instruct").glob("*/*.json")):
        for group in json.loads(file.read_text(encoding="utf-8"))["baselines"].values():
            yield file, group["observations"]


def test_committed_numbers_fit_together() -> None:
    """A retention is what score, lost and won make of it, in all files."""
    seen = 0
    for file, held in groups():
        for one in observations(held, file):
            if one.name.endswith(".retention"):
                stem = one.name.removesuffix("retention")
                score, lost, won = (held[stem + x]["value"] for x in ("score", "lost", "won"))
                again = retention("x", *pairs(score, lost, won, one.n))
                assert again.value == pytest.approx(one.value, abs=1e-9), (file, one.name)
                assert again.low <= one.value <= again.high
                seen += 1
            elif one.unit == "share":
                ends = proportion_confint(one.value * one.n, one.n, method="wilson")
                assert (one.low, one.high) == pytest.approx(ends, abs=1e-9)
    assert seen > 100


def write(folder: Path, name: str, value: float = 0.5, method: str = "rome") -> None:
    entry = {"value": value, "tolerance": 0.1, "n": 10, "unit": "share"}
    group = {"plan": "x", "observations": {"capability.knowledge.score": entry}}
    held = {"schema": 1, "baselines": {"test_knowledge[rome-L5-n10]": group}}
    file = folder / "smollm2-135m-instruct" / method / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(held), encoding="utf-8")


def test_a_files_name_tells_the_settings(tmp_path: Path, card: ModelCard) -> None:
    write(tmp_path, "L5.json", 0.1)
    write(tmp_path, "L20.b10.json", 0.2)
    write(tmp_path, "L5.probe.t0-8x3.json", 0.3)
    write(tmp_path, "L5.zsre-1234abcd.s0.float32.json", 0.4)  # foreign facts
    write(tmp_path, "L5.builtin-1234abcd.s0.float32.set-1234abcd.json", 0.4)  # who knows what
    write(tmp_path, "L5.builtin-1234abcd.s7.float32.json", 0.5)
    found = {one.value: one.settings for one in committed(tmp_path, card)}
    assert set(found) == {0.1, 0.2, 0.3, 0.5}
    assert (found[0.5]["sample"], found[0.5]["usual"]) == ("7", 0)
    assert found[0.1] == {
        "model": card.name,
        "method": "rome",
        "edits": 10,
        "layer": "5",
        "depth": 5 / 29,
        "batch": 1,
        "temperature": 0.0,
        "sample": "0",
        "usual": 1,
    }
    assert (found[0.2]["batch"], found[0.2]["usual"], found[0.2]["layer"]) == (10, 0, "20")
    assert (found[0.3]["temperature"], found[0.3]["usual"]) == (0.8, 0)


def test_probes_do_not_count_beside_benchmarks(tmp_path: Path, card: ModelCard) -> None:
    write(tmp_path, "L5.json", 0.1)
    write(tmp_path, "L5.mmlu-ppl.items200.t0x1.json", 0.2)
    write(tmp_path, "L20.json", 0.3)
    assert [one.value for one in committed(tmp_path, card)] == [0.2]


def test_a_threshold_is_the_cards_own(card: ModelCard) -> None:
    grace = committed(BASELINES, card).of(method="grace")
    assert grace.values("threshold") == (1.0,)
    assert committed(BASELINES, card).of(method="rome").values("threshold") == ()


@pytest.mark.parametrize("value", [5, 20.0])
def test_a_threshold_that_was_set_is_known_by_its_digest(
    value: float, tmp_path: Path, card: ModelCard
) -> None:
    name = f"L28.builtin-1234abcd.s0.float32.set-{digest_of({'eps': value})}.json"
    write(tmp_path, name, method="grace")
    (one,) = committed(tmp_path, card)
    assert (one.settings["threshold"], one.settings["usual"]) == (value, 0)


def test_no_baselines_are_told(tmp_path: Path, card: ModelCard) -> None:
    with pytest.raises(BaselineError, match=r"no baselines of smollm2.*--edit-baselines"):
        committed(tmp_path, card)
    write(tmp_path, "L5.json")
    file = tmp_path / card.name / "rome" / "L5.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"n": 10', '"n": "ten"'))
    with pytest.raises(BaselineError, match=r"L5\.json: capability\.knowledge\.score"):
        committed(tmp_path, card)


def test_observations_have_quantities() -> None:
    assert quantity_of("capability.code.retention") == ("code.retention", None)
    assert quantity_of("saliency_by_layer.s_pq.L07") == ("s_qp", 7)
    assert quantity_of("capability.NAME.score") is None
    assert quantity_of("locality.generated") is None
    for name, quantity in OBSERVATIONS.items():
        written = name.replace("{}", "code").replace("L#", "L12")
        assert quantity_of(written) == (quantity.format("code"), 12 if "#" in name else None)


def test_a_live_observation_is_a_reading(card: ModelCard) -> None:
    several = [
        share("reliability.sequential.teacher_forced", [1.0, 1.0, 0.0]),
        Observation("saliency_by_layer.s_wp.L29", 0.5, 3, "share", 0.4, 0.6, "student 95%"),
        Observation("parameters.correlation", math.nan, 9, "correlation", 0.0, 0.0, "exact"),
        Observation("locality.generated", 0.5, 3, "share", 0.4, 0.6, "wilson 95%"),
    ]
    one, other = read(several, {"layer": "4-5-6-7", "edits": 3}, card.n_layers, "here")
    assert (one.quantity, one.value, one.n) == ("sequential_reliability", 2 / 3, 3)
    assert one.settings["depth"] == pytest.approx(5.5 / 29)
    assert other.settings["attention_depth"] == 1.0


def test_a_models_baselines_judge_findings(card: ModelCard) -> None:
    readings = committed(BASELINES, card)
    outcomes = judge_all(readings, card.name)
    # What the numbers say without the machinery: MEND has ruined this model, ROME has not.
    own = readings.of("knowledge.retention", edits=100, usual=1)
    assert own.of(method="mend").held[0].high < 0.5 < 0.85 < own.of(method="rome").held[0].low
    parts = {part.name: part.verdict for part in outcomes["collapse-by-100"].parts}
    assert parts == {
        "mend, 100 edits": "holds",
        "rome, 100 edits": "fails",
        "memit, 100 edits": "fails",
    }
    assert outcomes["larger-models-hold-more"].verdict == "not observed"
    assert judge_all(Readings(), card.name)["collapse-by-100"].verdict == "not observed"
