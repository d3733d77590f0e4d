"""Write the table of docs/plan.md: measured times beside what ``editsuite plan`` reckons for them.

    python -m benchmarks.study_plan
    python -m benchmarks.study_plan --measure

With ``--measure`` a few edits are timed in place of that; nothing of them is kept.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from editsuite.cards import cache_root
from editsuite.files import write_text_atomically
from editsuite.planning.measured import MODEL, compared
from editsuite.runs import Case, Run, RunSettings

PAGE = Path(__file__).parents[1] / "docs" / "plan.md"
BEGIN, END = "<!-- plan: begin -->", "<!-- plan: end -->"
#: What is timed: a method without preparation, at a layer that no other record has.
TIMED = Case("rome_noc", (14,))
#: The first edit warms up.
EDITS = 4


def table() -> str:
    """The table in Markdown."""
    lines = [
        "| what | threads | measured s | planned s | factor | stands in | command |",
        "| --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for one in compared():
        name = PAGE.parents[1] / one.page
        link = name.name if name.parent != PAGE.parents[1] else f"../{name.name}"
        if name.parent.name == "methods":
            link = f"methods/{name.name}"
        lines.append(
            f"| {one.name} | {one.threads} | {one.measured:g} | {one.planned:.3g} | "
            f"{one.factor:.2f} | [{name.stem}]({link}) | `{one.command}` |"
        )
    return "\n".join(lines)


def with_table(text: str) -> str:
    """A page with the table between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}"


def timed() -> list[float]:
    """CPU seconds of one thread, of each edit but the first."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = RunSettings(
            model=MODEL,
            facts="builtin",
            counts=(EDITS,),
            layers=TIMED.layers,
            seed=0,
            device="cpu",
            dtype="float32",
            cache=cache_root(None),
            chains=Path(folder),
        )
        run, found = Run(settings), []
        run.ensure(TIMED, 1)
        for edits in range(2, EDITS + 1):
            start = time.process_time()
            run.ensure(TIMED, edits)
            found.append(time.process_time() - start)
    return found


def main(
    measure: Annotated[bool, typer.Option("--measure", help="Time some edits.")] = False,
) -> None:
    """Write the table, or time some edits."""
    if measure:
        seconds = timed()
        typer.echo(f"{TIMED}: {seconds}, mean {sum(seconds) / len(seconds):.2f} CPU seconds")
    else:
        write_text_atomically(PAGE, with_table(PAGE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    typer.run(main)
