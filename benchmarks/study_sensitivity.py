"""What sequences of edits leave of each capability, from the committed baselines.

    python -m benchmarks.study_sensitivity

Writes two tables between the markers of ``docs/probes.md``: what is retained of the unedited
model's score, in percent as the paper's Table 1 would have it, and how the right answers'
log-likelihood moved, in nats a token. It computes nothing: what stands in the baselines is what a
run was held against.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.bench import ROOT, start
from benchmarks.committed import chains
from benchmarks.table import rewritten, row
from editsuite.cards import resolve_card
from editsuite.files import write_text_atomically
from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX

PAGE = ROOT / "docs" / "probes.md"
BEGIN, END = "<!-- sensitivity: begin -->", "<!-- sensitivity: end -->"
#: By the observation's last part: what the table is of, and a number as it stands in it.
TABLES = {
    "retention": ("Retained, %", lambda value: f"{100 * value:.0f}"),
    "gold": ("Change of the right answers' log-likelihood, nats a token", "{:+.2f}".format),
}


def table(folder: Path, part: str) -> list[str]:
    """One table's lines: a row for each state that has baselines of capabilities."""
    title, shown = TABLES[part]
    head: Sequence[str] = ("method", "where", "edits", *CAPABILITIES)
    lines = [f"{title}:", "", row(head), row(["---"] * len(head))]
    for chain in chains(folder):
        for edits, held in sorted(chain.values.items()):
            names = [f"{PREFIX}{name}.{part}" for name in CAPABILITIES]
            if any(name in held for name in names):
                cells = [shown(held[name]) if name in held else "-" for name in names]
                lines.append(row([f"`{chain.method}`", chain.where, str(edits), *cells]))
    return lines


def main(
    model: Annotated[str, typer.Option(help="the card whose baselines are read")] = (
        "smollm2-135m-instruct"
    ),
    page: Annotated[Path, typer.Option(help="the page with the markers")] = PAGE,
    baselines: Annotated[Path, typer.Option(help="folder of the baselines")] = ROOT / "baselines",
) -> None:
    """Write the tables into the page."""
    folder = baselines / resolve_card(model).name
    text = "\n\n".join("\n".join(table(folder, part)) for part in TABLES)
    old = page.read_text(encoding="utf-8")
    write_text_atomically(page, rewritten(old, text, (BEGIN, END)))
    Console().print(f"{page}: written", soft_wrap=True)


if __name__ == "__main__":
    start(main)
