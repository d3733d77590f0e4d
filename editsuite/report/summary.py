"""The table at the end of a run, for a terminal."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from editsuite.report.rows import (
    FAIL,
    NO_BASELINE,
    OBSERVED,
    Row,
    by_case,
    counted,
    headline,
    rows_of,
    succeeded,
)
from editsuite.report.text import format_count, format_value

#: From these widths on there is air between columns; the whole name fits; tolerances have a
#: column of their own. Below the least the terminal has to wrap.
_AIRY, _ROOMY, _MEDIUM, _LEAST = 112, 104, 97, 80

#: One rule under the head and one between counts; ASCII, for logs that know nothing else.
_RULES = Box("    \n    \n -- \n    \n -- \n    \n    \n    \n", ascii=True)

_SHORTER = {"teacher_forced": "forced"}
_SHORTEST = {
    **_SHORTER,
    "sequential": "seq.",
    "individual": "ind.",
    "generalization": "generaliz.",
    "capability": "cap.",
    "multilingual": "multiling.",
}
_SAID = {FAIL: "! FAIL", NO_BASELINE: "new", OBSERVED: "seen"}
_STYLES = {FAIL: "bold red", NO_BASELINE: "yellow"}


@dataclass(frozen=True)
class _Layout:
    """How much of a row fits beside each other.

    Attributes:
        words: shorter words for parts of a measure's name; None for the name as it is.
        apart: whether the tolerance has a column of its own.
        gap: blanks between columns beyond one.
    """

    words: Mapping[str, str] | None
    apart: bool
    gap: int = 0


def summary_table(data: Mapping[str, Any], width: int | None = None, colour: bool = False) -> str:
    """What a person wants to know at the end of a run.

    The first line is the verdict in words. Then follows one table for each method and layer,
    its rows grouped by the number of edits; a row that fails says so in a word and, where
    colours are asked for, in red.

    Args:
        data: the data of ``observations.json``.
        width: columns of the terminal; None asks the terminal. Made for 80 and more.
        colour: whether to write ANSI colours.

    Returns:
        Lines without a trailing newline.

    Raises:
        ReportError: the data is malformed.
    """
    rows = rows_of(data)
    asked = width if width is not None else shutil.get_terminal_size((100, 24)).columns
    columns = max(asked, _LEAST)
    written = io.StringIO()
    console = _console(written, columns, colour)
    style = "bold" if succeeded(data, rows) else "bold red"
    console.print(Text(headline(data, rows), style=style))
    cases = by_case(rows)
    aside = [row for row in rows if row.aside and not row.failed]
    for case, found in cases.items():
        console.print()
        if len(cases) > 1:
            console.print(Text(f"{case}: {counted(found)}"))
        shown = [row for row in found if not row.aside or row.failed]
        console.print(_table(shown, _layout(columns)))
    if aside:
        console.print(
            Text(f"{len(aside)} details of capabilities, matrices and saliency: in the report.")
        )
    if any(row.verdict == NO_BASELINE for row in rows):
        console.print(Text("new: there is no baseline yet; --snapshot-update makes one."))
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def _console(written: io.StringIO, columns: int, colour: bool) -> Console:
    # An empty environment: the text shall not hang on FORCE_COLOR, TTY_COMPATIBLE and the like.
    return Console(
        file=written,
        width=columns,
        force_terminal=colour,
        force_jupyter=False,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )


def _layout(columns: int) -> _Layout:
    if columns >= _ROOMY:
        return _Layout(None, True, int(columns >= _AIRY))
    if columns >= _MEDIUM:
        return _Layout(_SHORTER, True)
    return _Layout(_SHORTEST, False)


def _table(rows: Sequence[Row], layout: _Layout) -> Table:
    table = Table(box=_RULES, padding=(0, layout.gap, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("edits", justify="right", no_wrap=True)
    table.add_column("measure", overflow="fold")
    interval = "95 % interval" if layout.apart else "95 % int."
    held = ("baseline", "tolerance") if layout.apart else ("baseline",)
    for name in ("value", interval, "n", *held):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    last: int | None = None
    for i, row in enumerate(rows):
        ends = i + 1 == len(rows) or rows[i + 1].edits != row.edits
        count = "" if row.edits == last else str(row.edits)
        cells = [Text(cell) for cell in (count, *_cells(row, layout))]
        table.add_row(*cells, style=_STYLES.get(row.verdict), end_section=ends)
        last = row.edits
    return table


def _cells(row: Row, layout: _Layout) -> tuple[str, ...]:
    low, high, baseline, tolerance = (
        format_value(x, row.unit) for x in (row.low, row.high, row.baseline, row.tolerance)
    )
    tolerance = "" if row.tolerance is None else tolerance
    said = _SAID.get(row.verdict, row.verdict)
    label, n = _label(row.name, layout), format_count(row.n)
    if layout.apart:
        interval = _interval(row, f"[{low}, {high}]")
        return (label, row.said, interval, n, baseline, tolerance, said)
    interval = _interval(row, f"{low}..{high}")
    held = f"{baseline}±{tolerance}" if tolerance else baseline
    return (label, row.said, interval, n, held, said)


def _interval(row: Row, ends: str) -> str:
    if row.absent:
        return ""
    return "exact" if row.exact else ends


def _label(name: str, layout: _Layout) -> str:
    if layout.words is None:
        return name
    return " ".join(layout.words.get(part, part) for part in name.split("."))
