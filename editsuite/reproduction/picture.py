"""A comparison as a picture: whole lines are this run's, dashed ones the paper's."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from editsuite.presets.grid import Setting
from editsuite.report.drawing import COLOURS, INK, settings
from editsuite.reproduction.comparison import Cell, Comparison, Line
from editsuite.verdicts.cells import Number
from editsuite.verdicts.columns import COLUMNS

#: What a picture may go along, the first that varies.
_AXES = ("attention_layer", "edits", "threshold", "layer", "layers")
_PANEL = (4.0, 2.8)
_WIDE = 4
#: Beyond this ratio an axis of perplexities is logarithmic.
_SPREAD = 100.0


def draw(comparison: Comparison, kind: str) -> bytes:
    """The picture as a file's bytes.

    Args:
        comparison: what to draw.
        kind: ``svg`` or ``png``.
    """
    with settings():
        figure = _figure(comparison)
        file = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(file, format=kind, facecolor="white", metadata=metadata, dpi=150)
    return file.getvalue()


def axis_of(comparison: Comparison) -> str:
    """The setting that the picture goes along."""
    varied = [
        name
        for name in _AXES
        if len({str(line.settings.get(name)) for line in comparison.lines}) > 1
    ]
    return (*varied, "edits")[0]


def _figure(comparison: Comparison) -> Figure:
    axis = axis_of(comparison)
    groups = _groups(comparison, axis)
    columns = comparison.columns
    wide = min(_WIDE, len(columns))
    high = math.ceil(len(columns) / wide)
    legend = 0.18 * math.ceil((len(groups) + 2) / (2 * wide)) + 0.2
    figure = Figure(figsize=(_PANEL[0] * wide, _PANEL[1] * high + legend), layout="constrained")
    positions = _positions(comparison, axis)
    for i, name in enumerate(columns):
        axes = figure.add_subplot(high, wide, i + 1)
        for colour, lines in zip(_colours(len(groups)), groups.values(), strict=True):
            _draw(axes, name, lines, positions, axis, colour)
        _finish(axes, name, positions, axis)
    entries = [
        Line2D([], [], color=colour, label=label or "all")
        for colour, label in zip(_colours(len(groups)), groups, strict=True)
    ]
    entries.append(Line2D([], [], color=INK, ls="-", label="this run"))
    entries.append(Line2D([], [], color=INK, ls="--", label="the paper"))
    figure.legend(handles=entries, loc="outside lower center", ncols=2 * wide, fontsize=8)
    return figure


def _colours(n: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(n)]


def _groups(comparison: Comparison, axis: str) -> dict[str, list[Line]]:
    """Lines of the picture, by the settings that it does not go along."""
    found: dict[str, list[Line]] = {}
    names = [name for name in comparison.settings if name != axis]
    for line in comparison.lines:
        label = ", ".join(
            f"{name} {line.settings[name]}" for name in names if name in line.settings
        )
        found.setdefault(label, []).append(line)
    return found


def _positions(comparison: Comparison, axis: str) -> Mapping[str, int]:
    values: Sequence[Setting] = list(
        dict.fromkeys(line.settings[axis] for line in comparison.lines if axis in line.settings)
    )
    numbers = [v for v in values if isinstance(v, int | float)]
    ordered = sorted(numbers) if len(numbers) == len(values) else values
    return {str(value): i for i, value in enumerate(ordered)}


def _draw(
    axes: Axes,
    column: str,
    lines: Sequence[Line],
    positions: Mapping[str, int],
    axis: str,
    colour: str,
) -> None:
    placed = [
        (positions[str(line.settings[axis])], cell)
        for line in lines
        if axis in line.settings
        for cell in line.cells
        if cell.column == column
    ]
    placed.sort(key=lambda pair: pair[0])
    x = [at for at, _ in placed]
    axes.plot(x, [_here(cell) for _, cell in placed], "-", color=colour, marker="o", ms=4)
    axes.plot(x, [_paper(cell) for _, cell in placed], "--", color=colour, marker="x", ms=4)
    bands = [(at, c.here.low, c.here.high) for at, c in placed if c.here is not None]
    finite = [b for b in bands if all(map(math.isfinite, b))]
    if finite:
        where, low, high = zip(*finite, strict=True)
        axes.fill_between(where, low, high, color=colour, alpha=0.14, lw=0)


def _finish(axes: Axes, column: str, positions: Mapping[str, int], axis: str) -> None:
    axes.set_title(f"{column} ({COLUMNS[column].unit})", fontsize=9)
    axes.set_xticks(range(len(positions)), list(positions))
    axes.set_xlim(-0.4, max(len(positions) - 1, 0) + 0.4)
    axes.set_xlabel(axis.replace("_", " "))
    axes.grid(axis="y", color=INK, alpha=0.15, lw=0.6)
    axes.set_axisbelow(True)
    if COLUMNS[column].unit == "percent":
        axes.set_ylim(-3, 105)
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    above = drawn[np.isfinite(drawn) & (drawn > 0)]
    if COLUMNS[column].unit == "perplexity" and len(above) and above.max() > _SPREAD * above.min():
        axes.set_yscale("log")


def _here(cell: Cell) -> float:
    return cell.here.value if cell.here is not None and math.isfinite(cell.here.value) else math.nan


def _paper(cell: Cell) -> float:
    return cell.paper.value if isinstance(cell.paper, Number) else math.nan
