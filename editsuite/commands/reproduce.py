"""``editsuite reproduce``: a table or a figure of the paper, run here, beside what is printed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from editsuite.cards.default import DEFAULT_MODEL
from editsuite.commands import asked
from editsuite.commands.plan import GpuOption, show_plan

if TYPE_CHECKING:
    from editsuite.chains import Progress
    from editsuite.presets import Expansion
    from editsuite.reproduction import Comparison, Point, Reproduction
    from editsuite.runs import Case


def reproduce(
    name: Annotated[str, typer.Argument(help="table-1 to table-14, figure-3 to figure-10.")],
    model: asked.ModelOption = DEFAULT_MODEL,
    facts: asked.FactsOption = None,
    tier: asked.TierOption = None,
    counts: asked.CountsOption = None,
    layers: asked.LayersOption = None,
    batch_size: asked.BatchOption = None,
    methods: asked.MethodsOption = None,
    hyperparameters: asked.SetOption = None,
    seed: asked.SeedOption = None,
    data: asked.DataOption = None,
    items: asked.ItemsOption = None,
    texts: asked.TextsOption = None,
    text_items: asked.TextItemsOption = None,
    temperature: asked.TemperatureOption = None,
    repeats: asked.RepeatsOption = "1",
    dtype: asked.DtypeOption = "float32",
    device: asked.DeviceOption = "auto",
    judge: asked.JudgeOption = "",
    cache: asked.CacheOption = None,
    reports: Annotated[
        Path, typer.Option("--edit-reports", metavar="DIR", help="Where the files go.")
    ] = Path("reports"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it takes, and do nothing.")
    ] = False,
    gpu: GpuOption = "cpu",
) -> None:
    """Run a table or a figure of the paper, print it beside the paper's, write CSV and pictures.

    On a model that the paper did not run, layers are scaled by depth and sizes by tier. What was
    edited and seen is kept, so the same command goes on where an interrupted one stopped.

    Examples: [bold]editsuite reproduce table-2 --edit-tier smoke[/],
    [bold]editsuite reproduce table-3 --edit-data path/to/data --dry-run[/]
    """
    given: dict[str, str | Path | None] = {
        **{"facts": facts, "tier": tier, "counts": counts, "layers": layers},
        **{"batch-size": batch_size, "methods": methods, "set": hyperparameters, "seed": seed},
        **{"data": data, "items": items, "temperature": temperature},
        **{"texts": texts, "text-items": text_items, "judge": judge or None},
        **{"dtype": dtype, "device": device},
    }
    expanded = asked.expansions(name, model, given, repeats, cache)
    console = Console(soft_wrap=True)
    for text in asked.told_lines(expanded):
        console.print(text, markup=False, highlight=False)
    if dry_run:
        for one in expanded:
            show_plan(one.runs, gpu, dtype, None, console)
        return
    found = _compared(expanded, Console(stderr=True))
    stem = reports / "reproduce" / f"{name}-{model if model == asked.PAPER else _card(expanded)}"
    _show(found, stem, console)


def _card(expanded: Sequence[Expansion]) -> str:
    return expanded[0].card.name


def _compared(expanded: Sequence[Expansion], console: Console) -> Comparison:
    """Open everything first, so that what cannot be run is known before any long work."""
    from editsuite.reproduction import Reproduction, compare
    from editsuite.reproduction.comparison import asks_unedited

    preset = expanded[0].preset
    unedited = asks_unedited(preset)
    opened = [Reproduction(one, unedited, os.cpu_count()) for one in expanded]
    total = sum(one.open() for one in opened)
    for text in dict.fromkeys(text for one in opened for text in one.left_out):
        console.print(text, markup=False, highlight=False)
    points: list[Point] = []
    with _progress(preset.name, total, console) as step:
        for one in opened:
            one.progress = step.edited
            points += _taken(one, step.seen, console)
    return compare(preset, points, {one.card.name: one.card.n_layers for one in expanded})


def _taken(one: Reproduction, seen: Callable[[], None], console: Console) -> list[Point]:
    points = []
    try:
        for point in one.points():
            points.append(point)
            seen()
    except KeyboardInterrupt:
        console.print(
            f"interrupted after {len(points)} states; what was edited and seen is kept, and the "
            "same command goes on"
        )
        raise typer.Exit(130) from None
    return points


class _Steps:
    """What the progress bar is told."""

    def __init__(self, edited: Callable[[Case, Progress], None], seen: Callable[[], None]) -> None:
        self.edited, self.seen = edited, seen


@contextmanager
def _progress(name: str, total: int, console: Console) -> Iterator[_Steps]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("states"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=total)

        def edited(case: Case, progress: Progress) -> None:
            told = f"{name}: {case}, edit {progress.index} of {progress.target}"
            bar.update(task, description=told)

        yield _Steps(edited, lambda: bar.advance(task))


def _show(found: Comparison, stem: Path, console: Console) -> None:
    """Everything is made before the first file is written, and each file is whole."""
    from editsuite.files import write_atomically, write_text_atomically
    from editsuite.reproduction.picture import draw
    from editsuite.reproduction.show import as_csv, as_table

    console.print(as_table(found))
    pictures = {kind: draw(found, kind) for kind in ("svg", "png")}
    table = stem.with_name(stem.name + ".csv")
    write_text_atomically(table, as_csv(found))
    console.print(f"written: {table}", markup=False)
    for kind, content in pictures.items():
        path = stem.with_name(f"{stem.name}.{kind}")
        write_atomically(path, content)
        console.print(f"written: {path}", markup=False)
