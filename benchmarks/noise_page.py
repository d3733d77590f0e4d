"""The second part of ``docs/power.md``: verdicts of the same tier, computed in many ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.bench import ROOT
from benchmarks.table import rewritten, row
from editsuite.errors import OptionError
from editsuite.files import write_text_atomically

PAGE = ROOT / "docs" / "power.md"
BEGIN, END = "<!-- noise: begin -->", "<!-- noise: end -->"
HEAD = ("repeat", "threads", "tokens", "products", "red checks", "most of a tolerance used", "by")

Found = Mapping[str, Any]


def verdicts(found: Found) -> dict[tuple[str, str], Found]:
    """All verdicts of a repeat, by number of edits and check."""
    return {
        (edits, name): verdict
        for edits, held in found["counts"].items()
        for name, verdict in held["verdicts"].items()
    }


def flips(repeats: Sequence[Found]) -> dict[tuple[str, str], int]:
    """Verdicts that are not the same in all repeats: how many repeats are red.

    A verdict that some repeat did not come to is no flip; there is none to compare.
    """
    found: dict[tuple[str, str], list[bool]] = {}
    for repeat in repeats:
        for place, verdict in verdicts(repeat).items():
            found.setdefault(place, []).append(bool(verdict["passes"]))
    return {p: seen.count(False) for p, seen in found.items() if len(set(seen)) > 1}


def spread(repeats: Sequence[Found]) -> float:
    """The largest difference of any one number between two repeats; NaN where one is none."""
    values: dict[tuple[str, str], list[float]] = {}
    for repeat in repeats:
        for edits, held in repeat["counts"].items():
            for name, value in held["values"].items():
                values.setdefault((edits, name), []).append(float(value))
    apart = [max(seen) - min(seen) for seen in values.values()]
    return max(apart) if all(x == x for x in apart) else float("nan")


def table(repeats: Sequence[Found]) -> list[str]:
    """A row for each repeat."""
    lines = [row(HEAD), row(["---"] * len(HEAD))]
    for found in repeats:
        seen = verdicts(found)
        place = max(seen, key=lambda p: float(seen[p]["used"]))
        told = found["repeat"]
        cells = [
            str(told["number"]),
            str(told["threads"]),
            str(told["token_budget"]),
            "own" if told["own_ways"] else "torch's",
            str(sum(not verdict["passes"] for verdict in seen.values())),
            f"{float(seen[place]['used']):.2g}",
            f"`{seen[place]['farthest']}` after {place[0]}",
        ]
        lines.append(row(cells))
    return lines


def content(repeats: Sequence[Found]) -> str:
    """What stands between the markers.

    Raises:
        OptionError: fewer than two repeats, so that nothing could flip.
    """
    if len(repeats) < 2:
        raise OptionError("two repeats at least are needed: run python -m benchmarks.study_noise")
    flipped, number = flips(repeats), len(verdicts(repeats[0]))
    case, model = (repeats[0]["identity"][name] for name in ("case", "model"))
    places = ", ".join(f"{name} after {n} ({red} red)" for (n, name), red in flipped.items())
    told = f"`{case}` on {model}: {len(repeats)} repeats, {number} verdicts each; "
    told += f"{len(flipped)} flipped: {places}." if flipped else "none flipped."
    told += f" Largest difference of one number between two repeats: {spread(repeats):.2g}."
    return "\n".join([told, "", *table(repeats)])


def write_page(repeats: Sequence[Found], page: Path, console: Console) -> None:
    """Write the table of the repeats between the page's markers.

    Raises:
        OptionError: too little was measured, or the page has not exactly one pair of markers.
    """
    text = rewritten(page.read_text(encoding="utf-8"), content(repeats), (BEGIN, END))
    write_text_atomically(page, text)
    console.print(f"{page}: written")
