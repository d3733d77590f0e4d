"""``editsuite findings``: what becomes of the paper's claims on its numbers and on a model's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from editsuite.verdicts.findings import Outcome


def findings(
    model: Annotated[
        str, typer.Option("--edit-model", metavar="NAME", help="Whose committed baselines.")
    ] = "smollm2-135m-instruct",
    baselines: Annotated[
        Path,
        typer.Option("--edit-baselines", metavar="DIR", help="The folder of baselines."),
    ] = Path("baselines"),
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE", help="Write the catalogue as a Markdown page."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="What became of each is expected from now on.")
    ] = False,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Show each comparison with its numbers.")
    ] = False,
) -> None:
    """Judge the paper's claims by its own numbers and by a model's committed baselines.

    No model is loaded. Exits with 1 where something became otherwise than is expected
    (findings.json beside the model's baselines); --accept takes it for expected.

    Examples: [bold]editsuite findings[/], [bold]editsuite findings --numbers[/],
    [bold]editsuite findings --write docs/findings.md[/]
    """
    from editsuite.cards import resolve_card
    from editsuite.files import write_text_atomically
    from editsuite.plugin.evidence import evidence
    from editsuite.report.findings import apart, page, tally
    from editsuite.verdicts.findings import FINDINGS, judge_all, printed
    from editsuite.verdicts.findings.agreement import agreements
    from editsuite.verdicts.findings.expected import FILE, changes, read_expected, write_expected

    console, card = Console(soft_wrap=True), resolve_card(model)
    paper, found = printed(), evidence(baselines, card)
    on_paper, on_model = judge_all(paper), judge_all(found, card.name)
    console.print(_table(on_paper, card.name, on_model, numbers))
    console.print(f"{card.name}: {tally(on_model)}")
    for line in apart(agreements(found.of(model=card.name), paper)):
        console.print(line, markup=False)
    if write is not None:
        write_text_atomically(write, page(FINDINGS, on_paper, card.name, on_model))
        console.print(f"{write}: written", markup=False)
    file = baselines / card.name / FILE
    if accept:
        write_expected(file, on_model)
        console.print(f"{file}: written", markup=False)
    elif file.exists():
        moved = changes(read_expected(file), on_model)
        for line in moved:
            console.print(f"changed: {line}", markup=False)
        if moved:
            console.print("if this is meant: run again with --accept, and commit the file")
            raise typer.Exit(1)


def _table(
    on_paper: Mapping[str, Outcome], model: str, on_model: Mapping[str, Outcome], numbers: bool
) -> Table:
    from editsuite.report.findings import ON_A_MODEL, ON_THE_PAPER
    from editsuite.verdicts.findings import FINDINGS

    table = Table("finding", "on the paper", f"on {escape(model)}", show_lines=True)
    for one in FINDINGS:
        paper, here = on_paper[one.id], on_model[one.id]
        cells = [ON_THE_PAPER[paper.verdict], ON_A_MODEL[here.verdict]]
        if numbers:
            for i, outcome in enumerate((paper, here)):
                words = [f"{p.name}: {p.verdict}; {p.words}" for p in outcome.parts]
                cells[i] = escape("\n".join([cells[i], *words]))
        table.add_row(escape(f"{one.id}: {one.statement} ({one.source})"), *cells)
    return table
