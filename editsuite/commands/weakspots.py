"""``editsuite weakspots``: which edits of a chain did the damage."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from editsuite.errors import OptionError
from editsuite.files import write_text_atomically
from editsuite.report.text import visible

if TYPE_CHECKING:
    from editsuite.runs.weakspots import Association, EditStep

#: Columns of a terminal that the table needs.
_LEAST_WIDTH = 120
#: Columns of the table and how they are written; the CSV has them all.
_SHOWN = {
    "index": "d",
    "facts": "s",
    "subjects": "s",
    "step": "+.3f",
    "z": ".1f",
    "level": "+.3f",
    "update_norm": ".3g",
    "denominator": ".3g",
    "key_norm": ".3g",
    "value_norm": ".3g",
    "nll_after": ".3g",
    "correlation": ".4f",
}


def weakspots(
    method: Annotated[str, typer.Option(help="The editing method.")] = "rome",
    model: Annotated[str, typer.Option("--model", help="Card, hub id or folder.")] = (
        "smollm2-135m-instruct"
    ),
    layers: Annotated[str, typer.Option(help="Layers (default: the card's).")] = "",
    edits: Annotated[int, typer.Option(min=1, help="Facts to edit.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Facts of one edit.")] = 1,
    facts: Annotated[str, typer.Option(help="Where the facts come from.")] = "builtin",
    seed: Annotated[int, typer.Option(help="Seed of their order and of prefixes.")] = 0,
    z: Annotated[float, typer.Option(help="Robust z from which a step is a jump.")] = 6.0,
    least: Annotated[float, typer.Option(help="Least jump, nats a token.")] = 0.05,
    top: Annotated[int, typer.Option(min=0, help="Largest steps to show beside the jumps.")] = 5,
    to: Annotated[Path | None, typer.Option("--csv", help="Write every edit to this file.")] = None,
    cache: Annotated[Path | None, typer.Option("--edit-cache", metavar="DIR")] = None,
) -> None:
    """Find the edits that broke the model, and what sets them apart.

    Looks at a little prose after every edit: a step that stands out from the chain's others and is
    large is a jump. Edits and looks that are kept are not made again.

    Examples: [bold]editsuite weakspots --layers 5 --edits 100[/],
    [bold]editsuite weakspots --method memit --csv memit.csv[/]
    """
    from editsuite.cards import cache_root, resolve_card
    from editsuite.editors import method as method_of
    from editsuite.measures.jumps import Rule
    from editsuite.runs import Run, RunSettings, parse_layers
    from editsuite.runs.enough import check_enough
    from editsuite.runs.opening import cases_of
    from editsuite.runs.weakspots import associations, edit_steps

    if to is not None and not to.absolute().parent.is_dir():
        raise OptionError(f"--csv {to}: there is no folder {to.absolute().parent}; make it first")
    settings = RunSettings(
        model=model,
        facts=facts,
        counts=(edits,),
        layers=parse_layers(layers) if layers else None,
        seed=seed,
        device="auto",
        dtype="float32",
        cache=cache_root(cache),
        batches=(batch_size,),
    )
    cases = cases_of(settings, resolve_card(model), method_of(method))
    told: dict[str, tuple[EditStep, ...]] = {}
    console = Console(soft_wrap=True)
    # Cut numbers are worse than broken lines: a narrow terminal breaks them, a wide one is filled.
    console.width = max(console.width, _LEAST_WIDTH)
    with Console(stderr=True).status("") as status:
        run = Run(settings, lambda case, p: status.update(f"{case}: edit {p.index} of {p.target}"))
        check_enough(edits, len(run.order), settings.facts)
        for case in cases:
            status.update(f"{case}: edits that are kept, and looks")
            told[str(case)] = edit_steps(run, case, edits, Rule(z, least))
    for chain, steps in told.items():
        console.print(f"{chain} on {run.card.name}: {_verdict(steps)}", markup=False)
        console.print(table_of(steps, top))
        for line in _said(associations(steps)):
            console.print(line, markup=False)
    if to is not None:
        write_text_atomically(to, csv_of(told))
        console.print(f"{to}: every edit of {', '.join(told)}", markup=False)


def _verdict(steps: Sequence[EditStep]) -> str:
    found = [step for step in steps if step.jump]
    if not found:
        return f"no jump in {len(steps)} edits, {steps[-1].level:+.3f} nats a token in all"
    part = sum(step.step for step in found)
    return (
        f"{len(found)} jump{'s' if len(found) > 1 else ''} in {len(steps)} edits, {part:+.3f} of "
        f"{steps[-1].level:+.3f} nats a token; the first is edit {found[0].index} "
        f"({visible(found[0].subjects)})"
    )


def table_of(steps: Sequence[EditStep], top: int) -> Table:
    """Jumps, marked, and the largest other steps; in the order of editing."""
    largest = sorted((s for s in steps if not s.jump), key=lambda s: -s.step)[:top]
    shown = sorted([*largest, *(s for s in steps if s.jump)], key=lambda s: s.index)
    names = [n for n in _SHOWN if any(getattr(s, n) is not None for s in steps)]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for name in names:
        words = name.replace("_", " ")
        text = _SHOWN[name] == "s"
        table.add_column(words, justify="left" if text else "right", no_wrap=not text)
    for step in shown:
        cells = [Text(visible(_cell(getattr(step, name), _SHOWN[name]))) for name in names]
        table.add_row("!" if step.jump else "", *cells, style="bold" if step.jump else None)
    return table


def _cell(value: object, form: str) -> str:
    return "-" if value is None else format(value, form)


def _said(found: Sequence[Association]) -> list[str]:
    """What goes with damage, in words."""
    lines = [
        f"  {a.name.replace('_', ' '):<14} rho {a.rho:+.2f}  p {a.p:.2g}  n {a.n}" for a in found
    ]
    return ["Rank correlation with the step, over all edits:", *lines] if lines else []


def csv_of(told: dict[str, tuple[EditStep, ...]]) -> str:
    """Every edit of every chain as CSV, numbers in full; what is not known is empty."""
    from editsuite.runs.weakspots import columns

    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["chain", *columns()])
    for case, steps in told.items():
        for step in steps:
            writer.writerow([case, *(getattr(step, name) for name in columns())])
    return written.getvalue()
