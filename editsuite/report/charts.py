"""Curves of the measures over the edits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from editsuite.report.drawing import ALARM, COLOURS, INK, settings, svg_text
from editsuite.report.panels import Panel, describe, line_label, lines_of, panels_of
from editsuite.report.rows import Case, Row, by_case

_STYLES: Mapping[str, str] = {"sequential": "-", "individual": "--", "": "-"}
_SIZE = (4.3, 2.9)


@dataclass(frozen=True)
class Chart:
    """One picture.

    Attributes:
        title: what is measured.
        svg: an ``<svg>`` element, safe to stand in a page as it is.
    """

    title: str
    svg: str


def draw_charts(rows: Sequence[Row]) -> tuple[Chart, ...]:
    """One picture for each measure and way of asking.

    Layers (and methods) are colours; sequential scores are whole lines and individual ones
    dashed; bands are intervals; diamonds are baselines with their tolerance.

    Args:
        rows: the rows of a run.

    Returns:
        The pictures, in the order in which their measures first appear.
    """
    colours = {case: COLOURS[i % len(COLOURS)] for i, case in enumerate(by_case(rows))}
    charts = []
    with settings():
        for i, panel in enumerate(panels_of(rows)):
            svg = svg_text(_draw(panel, colours), f"chart-{i}", panel.title, describe(panel))
            charts.append(Chart(panel.title, svg))
    return tuple(charts)


def _draw(panel: Panel, colours: Mapping[Case, str]) -> Figure:
    entries = _legend(panel, colours)
    taller = 0.16 * max(0, math.ceil(len(entries) / 2) - 2)
    figure = Figure(figsize=(_SIZE[0], _SIZE[1] + taller), layout="constrained")
    axes = figure.add_subplot()
    positions = {count: i for i, count in enumerate(panel.counts)}
    lines = lines_of(panel)
    width = 0.3 / max(len(lines), 1)
    for i, ((case, scope), rows) in enumerate(lines.items()):
        shift = (i - (len(lines) - 1) / 2) * width
        _draw_line(axes, rows, positions, colours[case], _STYLES[scope])
        _draw_baselines(axes, rows, positions, colours[case], shift)
        _draw_alarms(axes, rows, positions)
    _finish(axes, panel)
    figure.legend(handles=entries, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _legend(panel: Panel, colours: Mapping[Case, str]) -> list[Line2D]:
    """Colours are explained once and styles once: every pair of them would fill the picture."""
    lines = lines_of(panel)
    entries = [
        Line2D([], [], color=colours[case], label=line_label(case, ""))
        for case in dict.fromkeys(case for case, _ in lines)
    ]
    scopes = sorted({scope for _, scope in lines if scope}, key=list(_STYLES).index)
    return entries + [Line2D([], [], color=INK, ls=_STYLES[s], label=s) for s in scopes]


def _draw_line(
    axes: Axes, rows: Sequence[Row], positions: Mapping[int, int], colour: str, style: str
) -> None:
    x = [positions[row.edits] for row in rows]
    axes.plot(x, [_finite(row.value) for row in rows], style, color=colour, marker="o", ms=4)
    if not all(row.exact for row in rows):
        low, high = (
            [_finite(v) for v in vs] for vs in zip(*((r.low, r.high) for r in rows), strict=True)
        )
        axes.fill_between(x, low, high, color=colour, alpha=0.14, lw=0)
        if len(rows) == 1:
            axes.vlines(x, low, high, color=colour, alpha=0.35, lw=6)


def _draw_baselines(
    axes: Axes, rows: Sequence[Row], positions: Mapping[int, int], colour: str, shift: float
) -> None:
    held = [
        (positions[r.edits] + shift, r.baseline, abs(_finite(r.tolerance or 0.0)))
        for r in rows
        if r.baseline is not None and math.isfinite(r.baseline)
    ]
    if held:
        x, y, spread = zip(*held, strict=True)
        axes.errorbar(x, y, spread, fmt="D", color=colour, mfc="none", ms=4, lw=1, capsize=2)


def _draw_alarms(axes: Axes, rows: Sequence[Row], positions: Mapping[int, int]) -> None:
    failed = [r for r in rows if r.failed and math.isfinite(r.value)]
    axes.plot(
        [positions[r.edits] for r in failed], [r.value for r in failed],
        "o", color=ALARM, mfc="none", ms=11, mew=2, zorder=5,
    )  # fmt: skip
    for row in rows:
        if not math.isfinite(row.value):
            axes.annotate(
                row.said, (positions[row.edits], 0.03), xycoords=("data", "axes fraction"),
                color=ALARM if row.failed else INK, ha="center", weight="bold",
            )  # fmt: skip


def _finish(axes: Axes, panel: Panel) -> None:
    counts = panel.counts
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])
    axes.set_xlim(-0.4, max(len(counts) - 1, 0) + 0.4)
    axes.set_xlabel("edits (not to scale)")
    axes.grid(axis="y", color=INK, alpha=0.15, lw=0.6)
    axes.set_axisbelow(True)
    if {row.unit for row in panel.rows} == {"share"}:
        axes.set_ylim(-0.03, 1.05)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan
