"""Write the table of ``docs/performance.md`` from ``reports/bench.json``.

    python -m benchmarks.table

Only what stands between the two markers is replaced. A benchmark without a record is named as not
yet measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.bench import ROOT, read_records, start
from editsuite.errors import OptionError
from editsuite.files import write_text_atomically

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
COLUMNS = ("name", "ours s", "rival s", "ratio", "target", "equal", "command")
NOT_YET = "not yet measured"


@dataclass(frozen=True)
class Known:
    """A benchmark that belongs on the page.

    Attributes:
        name: of its record.
        target: the ratio aimed at.
        script: what measures it.
    """

    name: str
    target: float
    script: str


KNOWN = (
    Known("rome-edit-L5", 5, "bench_edit.py"),
    Known("rome-edit-L20", 10, "bench_edit.py"),
    Known("commonsenseqa-unedited", 8, "bench_commonsenseqa.py"),
    Known("commonsenseqa-5-states", 15, "bench_commonsenseqa.py"),
    Known("mmlu-3-subjects", 5, "bench_mmlu.py"),
    Known("generation-math", 4, "bench_generation.py"),
    Known("pytest-rome", 8, "bench_run.py"),
)


def row(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def measured(record: Mapping[str, Any]) -> str:
    """The line of a record."""
    ratio = f"{record['ratio']:.1f}" + (" (extrapolated)" if record.get("extrapolated") else "")
    target = "" if record["target"] is None else f"{record['target']:g}"
    return row(
        [
            f"`{record['name']}`",
            f"{record['ours_s']:.2f}",
            f"{record['rival_s']:.2f}",
            ratio,
            target,
            "yes" if record["equal"] else "no",
            f"`{record['command']}`",
        ]
    )


def machines(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each machine that was measured on."""
    found = []
    for record in records:
        machine = record["machine"]
        device = f", {machine['device']}" if machine.get("device") else ""
        line = (
            f"Measured on {machine['cpu']}, {machine['cores']} cores{device}, "
            f"{record['threads']} threads for both sides, torch {machine['torch']}."
        )
        if line not in found:
            found.append(line)
    return found


def growth(record: Mapping[str, Any]) -> list[str]:
    """The lines of ``bench-growth.json`` as a table."""
    head = ["axis", "points", "slope s", "slope CPU s", "r2", "memory kB for one more"]
    lines = ["", row(head), row(["---"] * len(head))]
    for fit in record["lines"]:
        points = [str(p["n"]) for p in record["rows"] if p["axis"] == fit["axis"]]
        lines.append(
            row(
                [
                    fit["axis"],
                    ", ".join(points),
                    f"{fit['slope']:.4f}",
                    f"{fit['cpu_slope']:.4f}",
                    f"{fit['r2']:.4f}",
                    f"{fit['rss_slope'] / 1e3:.1f}",
                ]
            )
        )
    sizes = [p["journal_per_edit"] for p in record["rows"] if p["journal_per_edit"]]
    if sizes:
        first, last = (f"{seconds:.3f}" for seconds in record["edit_cpu"])
        lines += [
            "",
            f"The journal takes {sizes[-1]:.0f} bytes an edit. An edit takes {first} CPU seconds "
            f"among the first {record['edit_cpu_over']} and {last} among the last.",
        ]
    return [*lines, "", f"Command: `{record['command']}`."]


def content(records: Sequence[Mapping[str, Any]], grown: Mapping[str, Any] | None) -> str:
    """What stands between the markers."""
    by_name = {record["name"]: record for record in records}
    known = [k.name for k in KNOWN]
    lines = [row(COLUMNS), row(["---"] * len(COLUMNS))]
    for k in KNOWN:
        if k.name in by_name:
            lines.append(measured(by_name[k.name]))
        else:
            command = f"`python benchmarks/{k.script}`"
            lines.append(row([f"`{k.name}`", NOT_YET, "", "", f"{k.target:g}", "", command]))
    lines += [measured(record) for record in records if record["name"] not in known]
    if records:
        lines += ["", *machines(records)]
    lines += growth(grown) if grown is not None else ["", f"Growth: {NOT_YET}."]
    return "\n".join(lines)


def rewritten(page: str, between: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """The page with other text between its markers.

    Raises:
        OptionError: it has not exactly one pair of markers.
    """
    first, last = marks
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in before + after:
        raise OptionError(f"the page needs one {first} and, behind it, one {last}; put them in")
    return f"{before}{first}\n\n{between}\n\n{last}{after}"


def main(
    reports: Annotated[Path, typer.Option(help="folder of bench.json")] = ROOT / "reports",
    page: Annotated[Path, typer.Option(help="the page to rewrite")] = PAGE,
) -> None:
    """Rewrite the table of the page."""
    path = reports / "bench-growth.json"
    grown = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    text = content(read_records(reports / "bench.json"), grown)
    write_text_atomically(page, rewritten(page.read_text(encoding="utf-8"), text))
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    start(main)
