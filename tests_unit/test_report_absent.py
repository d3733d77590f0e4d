"""Where there was nothing to take a number of, the report says "/" and nothing else breaks."""

from __future__ import annotations

from typing import Any

import pytest
from report_data_ import row, run_data

from editsuite.measures import Observation
from editsuite.measures.observation import absent
from editsuite.plugin.cases import EditCase
from editsuite.plugin.collected import rows
from editsuite.report import ReportError, summary_table
from editsuite.report.page import render_page
from editsuite.report.rows import rows_of
from editsuite.report.strict import dump_json, load_json
from editsuite.runs import Case
from editsuite.verdicts import Expected

NAME = "perplexity.answers"
NOTHING: dict[str, Any] = {"value": None, "n": 0, "low": None, "high": None, "tolerance": None}


def data_with(**changes: Any) -> dict[str, Any]:
    """A run whose second state wrote nothing."""
    data = run_data(counts=(1, 10))
    gone = {**NOTHING, "baseline": None, "interval": "nothing to measure", **changes}
    data["rows"] += [row(NAME, "perplexity", 5, 1), row(NAME, "perplexity", 5, 10, **gone)]
    return data


@pytest.mark.parametrize("width", [80, 97, 120])
def test_the_table_says_a_slash_and_the_run_is_good(width: int) -> None:
    text = summary_table(data_with(), width)
    found = [line for line in text.splitlines() if "answers" in line]
    assert found[1].split()[-4:] == ["/", "0", "none", "pass"]
    assert "32 within tolerance" in text.splitlines()[0]


def test_a_number_that_is_gone_fails() -> None:
    data = data_with(baseline=20.5, tolerance=0.1, verdict="fail")
    text = summary_table(data, 120)
    (line,) = [line for line in text.splitlines() if "FAIL" in line]
    assert "/" in line
    assert "20.50" in line


def test_the_page_and_its_picture_say_a_slash() -> None:
    page = render_page(data_with())
    assert '<td class="number">/</td>' in page
    assert "NaN" not in page
    assert "/ after 10" in page  # the picture in words


def test_the_observations_are_read_as_they_were_written() -> None:
    again = load_json(dump_json(data_with()))
    (gone,) = [one for one in rows_of(again) if one.absent]
    assert (gone.name, gone.edits, gone.said, gone.failed) == (NAME, 10, "/", False)


def test_no_number_of_something_is_still_refused_and_nan_still_fails() -> None:
    with pytest.raises(ReportError, match="no number where one is needed"):
        rows_of(data_with(n=3))
    (spoilt,) = [
        one for one in rows_of(data_with(value="NaN", n=3, low=0.0, high=1.0)) if one.failed
    ]
    assert spoilt.said == "NaN"


@pytest.mark.parametrize(
    ("expected", "verdict"),
    [
        (None, "observed"),
        ({}, "no baseline"),
        ({"answers.short": Expected(1.0, 0.0)}, "pass"),
        ({NAME: Expected(8.0, 100.0), "answers.short": Expected(1.0, 0.0)}, "fail"),
    ],
)
def test_a_state_without_a_number_agrees_with_a_baseline_without_one(
    expected: dict[str, Expected] | None, verdict: str
) -> None:
    case = EditCase(Case("rome", (5,)), 10)
    seen: list[Observation] = [absent(NAME, "perplexity")]
    (found,) = rows(case, seen, expected, "test")
    assert (found["value"], found["low"], found["high"], found["n"]) == (None, None, None, 0)
    assert found["verdict"] == verdict
