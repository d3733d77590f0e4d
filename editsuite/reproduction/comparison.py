"""Observed states set beside the rows of the paper's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from editsuite.cards import relative_layer, resolve_card
from editsuite.measures.observation import Observation
from editsuite.presets import Preset
from editsuite.presets.grid import Setting
from editsuite.reproduction.points import Point
from editsuite.reproduction.quantities import AVERAGE, FLOWS, QUANTITIES, columns_of, value_of
from editsuite.verdicts.cells import Absent, Number
from editsuite.verdicts.paper import read_table

#: The unedited model has no method and no layer.
UNEDITED = "base"


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Attributes:
        column: its name.
        here: what was observed, in the column's unit; None: nothing.
        paper: what is printed, or why nothing is; None: the paper has no such row.
    """

    column: str
    here: Observation | None
    paper: Number | Absent | None


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Attributes:
        settings: the paper's, by column.
        model: the card that was run; empty where no state stands for the row.
        where: what was run: ``rome-L5``; empty where nothing was.
        edits: that were made.
        cells: of the columns.
    """

    settings: Mapping[str, Setting]
    model: str
    where: str
    edits: int | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Comparison:
    """A table of the paper beside this project's run of it.

    Attributes:
        preset: which.
        settings: columns that tell what was done.
        columns: columns of numbers.
        lines: the rows.
    """

    preset: Preset
    settings: tuple[str, ...]
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def compare(preset: Preset, points: Sequence[Point], depth: Mapping[str, int]) -> Comparison:
    """Set states beside the paper's rows; for a figure, side by side by themselves.

    Args:
        preset: which table or figure.
        points: the observed states.
        depth: by model, its number of layers.
    """
    if preset.table is None:
        return _figure(preset, points)
    table = read_table(preset.table)
    columns = tuple(
        one.name
        for one in table.columns
        if one.role == "number" and one.name in (*QUANTITIES, *FLOWS, AVERAGE)
    )
    settings = tuple(one.name for one in table.columns if one.role == "setting")
    lines, used = [], set()
    for row in table.rows:
        wanted = {**table.outline.given, **row.settings}
        fitting = [i for i, point in enumerate(points) if fits(wanted, point.paper)]
        printed = row.numbers
        used.update(fitting)
        if not fitting:
            cells = tuple(Cell(name, None, printed[name]) for name in columns)
            lines.append(Line(row.settings, "", "", None, cells))
        for i in fitting:
            lines.append(_line(row.settings, points[i], columns, printed, preset, depth))
    for i, point in enumerate(points):
        if i not in used:  # asked for by options over the preset
            own = {name: point.paper[name] for name in settings if name in point.paper}
            lines.append(_line(own, point, columns, {}, preset, depth))
    return Comparison(preset, settings, columns, tuple(lines))


def asks_unedited(preset: Preset) -> bool:
    """Whether the table has a row of the unedited model; figures begin at it."""
    if preset.table is None:
        return True
    return any(row.settings.get("edits") == 0 for row in read_table(preset.table).rows)


def fits(wanted: Mapping[str, Setting], had: Mapping[str, Setting]) -> bool:
    """Whether a state stands for a row: no setting that both tell differs.

    The row of no edits is the unedited model's, whatever method and layer it stands under.
    """
    if wanted.get("edits", had.get("edits")) == 0:
        without = {"method", "layer"}
        wanted = {name: value for name, value in wanted.items() if name not in without}
    return all(had[name] == value for name, value in wanted.items() if name in had)


def _line(
    settings: Mapping[str, Setting],
    point: Point,
    columns: Sequence[str],
    printed: Mapping[str, Number | Absent],
    preset: Preset,
    depth: Mapping[str, int],
) -> Line:
    looked = settings.get("attention_layer")
    layer = None
    if looked is not None:
        own = point.model in preset.models
        base = resolve_card(preset.models[0]).n_layers
        layer = int(looked) if own else relative_layer(int(looked), base, depth[point.model])
    cells = tuple(
        Cell(name, value_of(name, point.seen, layer), printed.get(name)) for name in columns
    )
    where = str(point.case) if point.edits else UNEDITED
    return Line(settings, point.model, where, point.edits, cells)


def _figure(preset: Preset, points: Sequence[Point]) -> Comparison:
    """A figure prints no numbers: the states by themselves."""
    columns = columns_of(preset.measures)
    flows = bool(set(columns) & set(FLOWS))
    lines = []
    for point in points:
        told: dict[str, Setting] = {
            "model": point.model,
            "method": point.case.name if point.edits else UNEDITED,
            "layers": point.case.where if point.edits else "",
            "edits": point.edits,
        }
        looked: Sequence[int | None] = _attention_layers(point) if flows else (None,)
        for layer in looked:
            own = told if layer is None else {**told, "attention_layer": layer}
            cells = tuple(Cell(name, value_of(name, point.seen, layer), None) for name in columns)
            where = str(point.case) if point.edits else UNEDITED
            lines.append(Line(own, point.model, where, point.edits, cells))
    names = ("model", "method", "layers", "edits", *(("attention_layer",) if flows else ()))
    return Comparison(preset, names, columns, tuple(lines))


def _attention_layers(point: Point) -> list[int]:
    begin = "saliency_by_layer.s_wp.L"
    found = (name.removeprefix(begin) for name in point.seen if name.startswith(begin))
    return sorted(int(layer) for layer in found if layer.isdigit())
