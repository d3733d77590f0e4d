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

from benchmarks.bench import ROOT, start
from benchmarks.committed import (
    DEFAULT_BASELINES,
    DEFAULT_CARD,
    Baselines,
    CardName,
    Page,
    chains,
    write_tables,
)
from benchmarks.table import row
from editsuite.cards import resolve_card
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
    model: CardName = DEFAULT_CARD,
    page: Page = PAGE,
    baselines: Baselines = DEFAULT_BASELINES,
) -> None:
    """Write the tables into the page."""
    folder = baselines / resolve_card(model).name
    write_tables(page, ["\n".join(table(folder, part)) for part in TABLES], (BEGIN, END))


if __name__ == "__main__":
    start(main)
