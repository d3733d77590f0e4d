from __future__ import annotations

import math
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.report import ReportError, summary_table
from editsuite.report.text import format_count, format_value, visible
from tests_unit.report_data_ import COUNTS, MEASURES, run_data

UNITS = ("share", "perplexity", "correlation", "ratio", "norm", "unknown")


def lines_with(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if word in line]


def test_the_first_line_says_the_verdict_in_words() -> None:
    data = run_data()
    data["rows"][7]["verdict"] = "fail"
    first = summary_table(data, 120).splitlines()[0]
    assert first == (
        "rome on smollm2-135m-instruct, layer 5: 75 observations, 74 within tolerance, 1 outside"
    )


@pytest.mark.parametrize("width", [80, 90, 97, 100, 104, 120, 200])
def test_every_row_has_its_line_and_no_line_is_too_long(width: int) -> None:
    data = run_data()
    data["rows"][3].update(verdict="fail", value=0.31)
    data["rows"][4].update(verdict="no baseline", baseline=None, tolerance=None)
    data["rows"][13].update(value=123.456, low=101.2, high=150.3, baseline=120.25)
    text = summary_table(data, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert len(lines_with(text, " pass")) == 73
    assert len(lines_with(text, "FAIL")) == 1
    assert len(lines_with(text, " exact ")) == 5 * 4


def test_a_wide_table_has_every_column_and_the_whole_name() -> None:
    text = summary_table(run_data(), 120)
    (head,) = lines_with(text, "measure")
    assert re.split(r"\s{2,}", head.strip()) == [
        "edits", "measure", "value", "95 % interval", "n", "baseline", "tolerance", "verdict",
    ]  # fmt: skip
    for name, _ in MEASURES:
        assert len(re.findall(rf" {re.escape(name)} ", text)) == len(COUNTS)


def test_each_count_is_written_once() -> None:
    text = summary_table(run_data(), 100)
    assert re.findall(r"^ *(\d+) [a-z]", text, flags=re.MULTILINE) == ["1", "10", "20", "50", "100"]


@pytest.mark.parametrize("word", [math.nan, math.inf, "NaN", "-Infinity"])
def test_a_value_that_is_no_number_fails_whatever_was_said(word: float | str) -> None:
    data = run_data()
    data["rows"][0].update(value=word, verdict="pass")
    (line,) = lines_with(summary_table(data, 100), "FAIL")
    assert re.search(r"NaN|inf", line)


def test_each_method_and_layer_has_its_table_in_the_order_of_numbers() -> None:
    text = summary_table(run_data((20, 5)), 100)
    assert re.findall(r"^rome, layer (\d+):", text, flags=re.MULTILINE) == ["5", "20"]
    assert text.splitlines()[0].startswith("rome on smollm2-135m-instruct, layers 5, 20: 150")


def test_no_data_and_an_interrupted_run_have_words() -> None:
    assert summary_table({}, 80) == "nothing on unknown model: 0 observations"
    data = run_data(counts=(1,))
    data["run"]["exit_status"] = 2
    data["failures"] = [{"test": "t", "message": "m"}]
    first = " ".join(summary_table(data, 80).split("\n\n")[0].split())
    assert first.endswith("0 outside; 1 failed check; interrupted")


def test_colours_come_only_when_asked_and_change_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    data = run_data()
    data["rows"][3]["verdict"] = "fail"
    plain, coloured = summary_table(data, 100), summary_table(data, 100, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31m" in coloured
    unpainted = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert [line.rstrip() for line in unpainted.splitlines()] == plain.splitlines()


def test_names_cannot_move_the_cursor_or_be_read_as_markup() -> None:
    data = run_data(counts=(1,))
    data["rows"] = [{**data["rows"][0], "method": "\x1b[2J[red]rome[/red]"}]
    text = summary_table(data, 100)
    assert "\x1b" not in text
    assert "\\x1b[2J[red]rome[/red] on" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "maybe"}, "unknown verdict 'maybe'"),
        ({"value": None}, "no number"),
        ({"value": "much"}, "'much'"),
        ({"edits": "many"}, "many"),
    ],
)
def test_a_malformed_row_is_named(change: dict[str, object], said: str) -> None:
    data = run_data()
    data["rows"][6].update(change)
    with pytest.raises(ReportError, match=f"row 6.*{said}"):
        summary_table(data, 100)


def test_a_row_that_lacks_a_field_is_named() -> None:
    data = run_data()
    del data["rows"][6]["unit"]
    with pytest.raises(ReportError, match=r"row 6.*lacks 'unit'"):
        summary_table(data, 100)


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(UNITS))
def test_a_number_keeps_its_sign_its_size_and_a_small_width(value: float, unit: str) -> None:
    said = format_value(value, unit)
    assert len(said) <= 9
    if math.isfinite(value) and abs(value) < 1e300:
        error = abs(float(said) - value)
        assert error <= max(0.5 * 10 ** -(2 if unit == "perplexity" else 3), abs(value) * 0.051)
        assert (float(said) == 0) == (value == 0)


@given(st.integers(0, 10**12 - 1))
def test_a_count_has_at_most_four_characters_and_the_right_size(n: int) -> None:
    said = format_count(n)
    assert len(said) <= 4 or n >= 999_500
    assert len(said) <= 5
    factor = {"k": 1e3, "M": 1e6, "G": 1e9}.get(said[-1], 1.0)
    assert float(said.rstrip("kMG")) * factor == pytest.approx(n, rel=0.051)


@given(st.text())
def test_visible_text_is_printable_and_can_be_encoded(text: str) -> None:
    said = visible(text, "")
    said.encode("utf-8")
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E for c in said)
    if text.isascii() and text.isprintable():
        assert said == text


def test_the_summary_needs_no_drawing_library() -> None:
    code = (
        "import sys, editsuite.report as r; r.summary_table({}, 80);"
        "print([m for m in ('matplotlib', 'jinja2', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
