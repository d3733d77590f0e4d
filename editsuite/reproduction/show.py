"""A comparison as a table for the terminal, and as CSV."""

from __future__ import annotations

import csv
import io
import math

from rich.table import Table
from rich.text import Text

from editsuite.reproduction.comparison import Cell, Comparison, Line
from editsuite.verdicts.cells import Number
from editsuite.verdicts.columns import COLUMNS

#: What stands where nothing was observed, and where the paper prints nothing.
NOTHING = "-"
#: The paper's sign for a model that writes nothing.
SILENT = "/"
_CSV = (
    *("column", "unit", "model", "where", "edits_here", "value", "low", "high", "n"),
    *("observation", "paper"),
)


def as_table(comparison: Comparison) -> Table:
    """Rows of the paper's settings; every cell is this run's number, then the paper's."""
    preset = comparison.preset
    made = Table(
        title=f"{preset.name}: {preset.title} (this run / the paper)",
        header_style="bold",
        box=None,
        pad_edge=False,
    )
    for name in comparison.settings:
        made.add_column(name)
    made.add_column("run as")
    for name in comparison.columns:
        made.add_column(name, justify="right")
    for line in comparison.lines:
        told = [Text(str(line.settings.get(name, ""))) for name in comparison.settings]
        made.add_row(*told, _run_as(line), *(words(cell) for cell in line.cells))
    return made


def words(cell: Cell) -> str:
    """``45.8 / 46.9``; a figure's cell has no second number."""
    here = NOTHING if cell.here is None else _number(cell.here.value)
    if cell.paper is None:
        return here
    return f"{here} / {printed(cell)}"


def printed(cell: Cell) -> str:
    """The paper's number as it prints it."""
    if isinstance(cell.paper, Number):
        return f"{cell.paper.value:.{cell.paper.decimals}f}"
    return SILENT if cell.paper == "nothing generated" else NOTHING


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    return f"{value:.0f}" if size >= 1000 else f"{value:.1f}" if size >= 2 else f"{value:.3f}"


def _run_as(line: Line) -> Text:
    return Text(f"{line.where} after {line.edits}" if line.edits is not None else "not run")


def as_csv(comparison: Comparison) -> str:
    """One line for each number: the paper's settings, what was run, both numbers, the interval."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    settings = [name for name in comparison.settings if name != "model"]
    writer.writerow((*settings, "paper_model", *_CSV))
    for line in comparison.lines:
        told = [line.settings.get(name, "") for name in settings]
        paper_model = line.settings.get("model", "")
        for cell in line.cells:
            writer.writerow((*told, paper_model, *_values(line, cell)))
    return text.getvalue()


def _values(line: Line, cell: Cell) -> tuple[object, ...]:
    unit = COLUMNS[cell.column].unit
    edits = "" if line.edits is None else line.edits
    here: tuple[object, ...] = ("", "", "", "", "")
    if cell.here is not None:
        here = (cell.here.value, cell.here.low, cell.here.high, cell.here.n, cell.here.name)
    paper = "" if cell.paper is None else printed(cell)
    return (cell.column, unit, line.model, line.where, edits, *here, paper)
