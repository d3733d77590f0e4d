from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.report import ReportError, dump_json, load_json, read_observations, write_report
from tests_unit.report_data_ import edit, row, run_data

WORDS = st.text() | st.sampled_from(["NaN", "Infinity", "-Infinity", "</script>", "\x00", "\ud800"])


@st.composite
def any_data(draw: st.DrawFn) -> dict[str, Any]:
    numbers = st.floats(allow_nan=True, allow_infinity=True)
    one = row(draw(WORDS), "share", 5, 10, value=draw(numbers), baseline=draw(numbers))
    done = edit(1, prompt=draw(WORDS), target=draw(WORDS), nll_after=draw(numbers))
    return {
        "schema": 1,
        "run": {},
        "rows": [one],
        "chains": [{"method": "rome", "layer": 5, "plan": "", "edits": [done]}],
        "failures": [],
    }


def same(a: object, b: object) -> bool:
    """Equality for which NaN equals NaN."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@given(any_data())
def test_what_is_written_is_read_again_and_is_strict(data: dict[str, Any]) -> None:
    text = dump_json(data)

    def refuse(word: str) -> float:
        raise AssertionError(word)

    json.loads(text, parse_constant=refuse)
    text.encode("utf-8")
    assert same(load_json(text), data)


def test_a_text_called_nan_stays_a_text() -> None:
    data = run_data()
    data["chains"][0]["edits"][0].update(target="NaN", nll_after=math.nan)
    read = load_json(dump_json(data))["chains"][0]["edits"][0]
    assert read["target"] == "NaN"
    assert math.isnan(read["nll_after"])


def test_equal_data_gives_equal_text_whatever_the_order_of_keys() -> None:
    data = run_data()
    turned = dict(reversed(list(data.items())))
    turned["rows"] = [dict(reversed(list(r.items()))) for r in data["rows"]]
    assert dump_json(turned) == dump_json(data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema": 1, "rows": [NaN]}', "bare NaN"),
        ('{"schema": 1', "strict JSON"),
        ("[]", "not an object"),
        ('{"schema": 7}', "schema 7"),
    ],
)
def test_foreign_text_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=said):
        load_json(text)
    path = tmp_path / "observations.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"observations\.json"):
        read_observations(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="absent"):
        read_observations(tmp_path / "absent" / "observations.json")


def test_what_json_has_no_word_for_is_named_by_its_place() -> None:
    data = run_data()
    data["rows"][2]["value"] = 1j
    with pytest.raises(ReportError, match=r"data\.rows\[2\]\.value is a complex"):
        dump_json(data)


def test_a_report_is_two_whole_files(tmp_path: Path) -> None:
    data = run_data()
    observations, page = write_report(tmp_path / "reports" / "rome", data)
    assert sorted(p.name for p in page.parent.iterdir()) == ["observations.json", "report.html"]
    assert read_observations(observations) == data
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
