"""The columns of the paper's Table 2 for the default model, from the committed baselines.

    python -m benchmarks.study_methods

Writes the table between the two markers of ``docs/methods/README.md``, the paper's own numbers for
LLaMA-2-7B beside it (``baselines/paper/table-2.csv``, shares of a hundred as printed there). It
computes nothing: what stands in the baselines is what a run was held against.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from editsuite.verdicts.cells import Number
from editsuite.verdicts.paper import read_table

PAGE = ROOT / "docs" / "methods" / "README.md"
BEGIN, END = "<!-- table 2: begin -->", "<!-- table 2: end -->"
COUNTS = (1, 10, 20, 100)
SCORES = tuple(
    (scope, part)
    for scope in ("sequential", "individual")
    for part in ("reliability", "generalization")
)
HEAD = (
    "method",
    "where",
    "edits",
    *(f"{scope[:3]}. {part[:3]}." for scope, part in SCORES),
    "paper: seq. rel.",
    "seq. gen.",
    "ind. rel.",
    "ind. gen.",
)

Scores = Mapping[tuple[str, str], str]


def scores(held: Mapping[str, float], mode: str) -> Scores:
    """Percentages of a state, as the paper prints them."""
    return {(scope, part): f"{100 * held[f'{part}.{scope}.{mode}']:.1f}" for scope, part in SCORES}


def paper() -> dict[tuple[str, int], Scores]:
    """The paper's Table 2, as printed."""
    return {
        (str(line.settings["method"]), int(line.settings["edits"])): {
            (scope, part): str(found.exact)
            for scope, part in SCORES
            if isinstance(found := line.numbers[f"{scope}_{part}"], Number)
        }
        for line in read_table(2).rows
    }


def table(folder: Path, mode: str) -> list[str]:
    """The table's lines."""
    printed = paper()
    lines = [row(HEAD), row(["---"] * len(HEAD))]
    for chain in chains(folder):
        for edits in COUNTS:
            if edits in chain.values:
                ours = scores(chain.values[edits], mode)
                theirs = printed.get((chain.method, edits), {})
                cells = [ours[score] for score in SCORES]
                cells += [theirs.get(score, "-") for score in SCORES]
                lines.append(row([f"`{chain.method}`", chain.where, str(edits), *cells]))
    return lines


def main(
    model: CardName = DEFAULT_CARD,
    page: Page = PAGE,
    baselines: Baselines = DEFAULT_BASELINES,
) -> None:
    """Write the table into the page."""
    folder = baselines / resolve_card(model).name
    parts = [
        "\n".join([f"{mode.replace('_', '-').capitalize()}:", "", *table(folder, mode)])
        for mode in ("teacher_forced", "generated")
    ]
    write_tables(page, parts, (BEGIN, END))


if __name__ == "__main__":
    start(main)
