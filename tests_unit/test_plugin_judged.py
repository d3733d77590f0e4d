"""Rows that compare two states carry their verdicts, corrected over the state's family."""

from __future__ import annotations

import json

import pytest

from editsuite.measures.observation import exact, share
from editsuite.measures.paired import mean_change, retention
from editsuite.plugin.collected import PROPERTY, Collected, rows
from editsuite.plugin.judged import evidence_of, judged
from editsuite.report import dump_json, load_json
from editsuite.report.rows import rows_of

NAMES = ("knowledge", "reading", "code")


class FakeCase:
    """What a row needs of a case."""

    name, layers = "rome", (5,)

    def __init__(self, edits: int) -> None:
        self.edits = edits

    @property
    def case(self) -> FakeCase:
        return self


def observed(edits: int, lost: dict[str, int]) -> list[dict[str, object]]:
    found = []
    for name, count in lost.items():
        after = [0.0] * count + [1.0] * (64 - count)
        seen = (
            share(f"capability.{name}.score", after),
            retention(f"capability.{name}.retention", [1.0] * 64, after),
            mean_change(f"capability.{name}.gold", [-1.0] * 64, [-1.0] * 64, "nats"),
        )
        found += rows(FakeCase(edits), seen, None, f"test_{name}")  # type: ignore[arg-type]
    return found


@pytest.fixture
def report() -> dict[str, object]:
    """What two workers' checks of two states become."""
    collected = Collected()
    for told in (observed(1, dict.fromkeys(NAMES, 0)), observed(20, {"code": 1, "reading": 2})):
        chain = {"case": "rome-L5", "edits": []}
        carried = {"rows": told, "run": {}, "memory": {}, "chain": chain}
        collected.take([(PROPERTY, json.dumps(carried))])
    return load_json(dump_json(collected.report(0, 2)))


def by_name(report: dict[str, object], edits: int) -> dict[str, dict[str, object]]:
    held = report["rows"]
    assert isinstance(held, list)
    return {row["name"]: row.get("judged") for row in held if row["edits"] == edits}


def test_a_comparison_is_judged_and_a_score_is_not(report: dict[str, object]) -> None:
    for name, said in by_name(report, 1).items():
        assert (said is None) == name.endswith(".score"), name


def test_a_state_is_a_family_and_each_kind_of_number_its_own(report: dict[str, object]) -> None:
    after_one, after_20 = by_name(report, 1), by_name(report, 20)
    said = after_one["capability.code.retention"]
    assert (said["outcome"], said["members"]) == ("retained", 3)
    assert said["adjusted_p"] == pytest.approx(3 * 0.9**64)
    assert said["family"] == "retention, edits: 1"
    one, two = after_20["capability.code.retention"], after_20["capability.reading.retention"]
    assert one["members"] == two["members"] == 2
    assert one["adjusted_p"] == pytest.approx(2 * one["p"])
    assert (one["outcome"], two["outcome"]) == ("retained", "undecided")
    assert after_20["capability.code.gold"]["family"] == "gold, edits: 20"
    assert "holm over 2" in one["words"]


def test_the_items_stay_out_of_the_file(report: dict[str, object]) -> None:
    text = dump_json(report)
    assert "pairs" not in text
    assert len(text) < 20_000


def test_a_file_without_verdicts_is_read_as_before(report: dict[str, object]) -> None:
    held = report["rows"]
    assert isinstance(held, list)
    old = [{k: v for k, v in row.items() if k != "judged"} for row in held]
    assert rows_of({**report, "rows": old}) == rows_of(report)
    assert judged(old) == old


def test_without_items_there_is_nothing_to_test() -> None:
    assert evidence_of(exact("capability.code.retention", 1.0, 64, "ratio")) is None
    assert evidence_of(share("capability.code.score", [1.0])) is None
