"""Which observations stand in one picture, and what the picture says in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from editsuite.report.rows import Case, Row
from editsuite.report.text import clip, edits_word

#: Parts of a measure's name that make two lines of one picture.
SCOPES = ("sequential", "individual")


@dataclass(frozen=True)
class Panel:
    """What one picture shows: the rows of one measure, of every scope it has."""

    title: str
    rows: tuple[Row, ...]

    @property
    def counts(self) -> list[int]:
        """Numbers of edits, ascending; they lie side by side at equal distances."""
        return sorted({row.edits for row in self.rows})


def panels_of(rows: Iterable[Row]) -> list[Panel]:
    """Sort rows into pictures: names that differ in scope only come together."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.aside or row.unit == "holds":
            continue  # the tables have them
        found.setdefault(".".join(_without_scope(row.name)), []).append(row)
    return [Panel(_title(key, rows[0].unit), tuple(rows)) for key, rows in found.items()]


def describe(panel: Panel) -> str:
    """A picture in words: every line's first and last value."""
    said = []
    for (case, scope), rows in lines_of(panel).items():
        first, last = rows[0], rows[-1]
        start = f"{first.said} after {edits_word(first.edits)}"
        end = f"{last.said} after {last.edits}"
        said.append(f"{line_label(case, scope)}: {start}" + (f", {end}." if len(rows) > 1 else "."))
    return clip(" ".join(said), 2000)


def lines_of(panel: Panel) -> dict[tuple[Case, str], list[Row]]:
    """The rows of each line: of one case in one scope, which may be none (``""``)."""
    found: dict[tuple[Case, str], list[Row]] = {}
    for row in panel.rows:
        found.setdefault((row.case, _scope(row.name)), []).append(row)
    return found


def _scope(name: str) -> str:
    return next((part for part in name.split(".") if part in SCOPES), "")


def _without_scope(name: str) -> list[str]:
    return [part for part in name.split(".") if part not in SCOPES]


def _title(key: str, unit: str) -> str:
    words = ", ".join(part.replace("_", " ") for part in key.split("."))
    return words if unit in words.replace(",", "").split() else f"{words} ({unit})"


def line_label(case: Case, scope: str) -> str:
    """What the legend says of a line."""
    return clip(" ".join(filter(None, (case.method, f"layer {case.layer}", scope))), 60)
