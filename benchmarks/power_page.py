"""The tables of ``docs/power.md``: what catches which spoilt editor, and that no honest one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.bench import ROOT
from benchmarks.spoilt.entrants import SPOILT
from benchmarks.table import rewritten, row
from editsuite.errors import OptionError
from editsuite.files import write_text_atomically

PAGE = ROOT / "docs" / "power.md"
BEGIN, END = "<!-- power: begin -->", "<!-- power: end -->"
LIST = ("<!-- editors: begin -->", "<!-- editors: end -->")
#: Where a state was not looked at.
NOT_RUN = ""
NOTHING = "-"

Found = Mapping[str, Any]


def caught(found: Found, twin: Found | None) -> dict[str, list[str]]:
    """By number of edits, the checks that an editor fails and its honest twin does not.

    Where the twin was not looked at there is nothing to hold against, and nothing is counted.
    """
    there = twin["counts"] if twin is not None else {}
    return {
        edits: [name for name in held["failed"] if name not in there[edits]["failed"]]
        for edits, held in found["counts"].items()
        if edits in there
    }


def promises(found: Found, twin: Found | None) -> list[str]:
    """The promises that an editor breaks after any number of edits and its twin does not."""
    there = twin["counts"] if twin is not None else {}
    names = [
        name
        for edits, held in found["counts"].items()
        if edits in there
        for name in held["broken"]
        if name not in there[edits]["broken"]
    ]
    return list(dict.fromkeys(names))


def words(found: Found, edits: str, names: Mapping[str, Sequence[str]]) -> str:
    """One cell: the checks, or how the editor stopped."""
    if edits not in names:
        return NOT_RUN
    error = found["counts"][edits]["error"]
    if error:
        return f"stops: {error.partition(':')[0]}"
    return ", ".join(names[edits]) or NOTHING


def numbers(entrants: Mapping[str, Found]) -> list[str]:
    """All numbers of edits in the record, ascending."""
    found = {edits for held in entrants.values() for edits in held["counts"]}
    return sorted(found, key=int)


def spoilt_table(entrants: Mapping[str, Found]) -> list[str]:
    """A row for each spoilt editor."""
    counts = numbers(entrants)
    head = ["editor", "what is wrong", *(f"after {n}" for n in counts), "promises broken"]
    lines = [row(head), row(["---"] * len(head))]
    for found in entrants.values():
        if found["wrong"]:
            twin = entrants.get(found["beside"])
            names = caught(found, twin)
            cells = [words(found, edits, names) for edits in counts]
            broken = ", ".join(promises(found, twin)) or NOTHING
            lines.append(row([f"`{found['name']}`", found["wrong"], *cells, broken]))
    return lines


def honest_table(entrants: Mapping[str, Found]) -> list[str]:
    """A row for each honest editor: everything that it fails."""
    counts = numbers(entrants)
    head = ["honest editor", *(f"after {n}" for n in counts), "promises broken"]
    lines = [row(head), row(["---"] * len(head))]
    for found in entrants.values():
        if not found["wrong"]:
            names = {edits: list(held["failed"]) for edits, held in found["counts"].items()}
            cells = [words(found, edits, names) for edits in counts]
            broken = dict.fromkeys(n for held in found["counts"].values() for n in held["broken"])
            lines.append(row([f"`{found['name']}`", *cells, ", ".join(broken) or NOTHING]))
    return lines


def summary(entrants: Mapping[str, Found]) -> str:
    """How many are caught, by checks and by promises, and what the honest ones fail."""
    spoilt = [found for found in entrants.values() if found["wrong"]]
    honest = [f for f in entrants.values() if not f["wrong"] and f["by_default"]]
    red, red_apart, red_promises = 0, 0, 0
    for found in spoilt:
        twin = entrants.get(found["beside"])
        names = {name for failed in caught(found, twin).values() for name in failed}
        red += bool(names)
        red_apart += bool(names - {"parameters"})
        red_promises += bool(promises(found, twin))
    wrong = [f["name"] for f in honest if any(h["failed"] for h in f["counts"].values())]
    clean = f"{len(honest) - len(wrong)} of {len(honest)} honest methods pass every check"
    return (
        f"{red} of {len(spoilt)} spoilt editors fail a check that their honest twin passes, "
        f"{red_apart} of them another one than `parameters`; {red_promises} break a promise. "
        f"{clean}" + (f"; not so: {', '.join(wrong)}." if wrong else ".")
    )


def content(record: Mapping[str, Any]) -> str:
    """What stands between the markers.

    Raises:
        OptionError: the record is empty.
    """
    entrants: Mapping[str, Found] = record["entrants"]
    if not entrants:
        raise OptionError("nothing was measured yet: run python -m benchmarks.study_power first")
    models = sorted({found["identity"]["model"] for found in entrants.values()})
    held = {name for f in entrants.values() for h in f["counts"].values() for name in h["held"]}
    told = f"On {', '.join(models)}; checks: {', '.join(sorted(held))}."
    parts = [[summary(entrants), "", told], spoilt_table(entrants), honest_table(entrants)]
    return "\n\n".join("\n".join(lines) for lines in parts)


def editors() -> str:
    """The list of all spoilt editors."""
    head = ("editor", "method", "what is wrong")
    lines = [row(head), row(["---"] * len(head))]
    lines += [row([f"`{e.name}`", f"`{e.base}`", e.wrong]) for e in SPOILT]
    return "\n".join(lines)


def write_page(record: Mapping[str, Any], page: Path, console: Console) -> None:
    """Write the tables between the page's markers.

    Raises:
        OptionError: nothing was measured, or the page has not exactly one pair of markers.
    """
    text = rewritten(page.read_text(encoding="utf-8"), content(record), (BEGIN, END))
    text = rewritten(text, editors(), LIST)
    write_text_atomically(page, text)
    console.print(f"{page}: written")
