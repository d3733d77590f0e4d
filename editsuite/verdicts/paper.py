"""The paper's tables as data: *Navigating the Dual Facets*, Tables 1 to 14.

The files hold what is printed; ``columns`` says what a column means, ``tables`` what a table is.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from editsuite.errors import BaselineError, listing
from editsuite.verdicts.cells import ABSENT, Absent, Number, Row, read_number, read_setting
from editsuite.verdicts.columns import COLUMNS, Column
from editsuite.verdicts.tables import OUTLINES, Outline, Setting

#: Where the files stand in a checkout.
FOLDER = Path(__file__).resolve().parents[2] / "baselines" / "paper"
_AGAIN = "take the file from the repository again"


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        number: the paper's.
        file: where it was read.
        outline: what it is.
        rows: one for each setting, in the order of the file.
    """

    number: int
    file: Path
    outline: Outline
    rows: tuple[Row, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns with their meanings, in the order of the file."""
        return tuple(COLUMNS[name] for name in self.outline.columns)

    def find(self, **settings: Setting) -> tuple[Row, ...]:
        """The rows of these settings; the others may be anything."""
        return tuple(row for row in self.rows if settings.items() <= row.settings.items())

    def cell(self, column: str, **settings: Setting) -> Number:
        """The one number of a column under these settings.

        Raises:
            BaselineError: there is no such column of numbers, not exactly one such row, or
                nothing was measured there.
        """
        where = f"the paper's Table {self.number}"
        known = [one.name for one in self.columns if one.role == "number"]
        if column not in known:
            raise BaselineError(
                f"{where}: no numbers under {column!r}; take one of {listing(known)}"
            )
        rows = self.find(**settings)
        if len(rows) != 1:
            raise BaselineError(
                f"{where}: {len(rows)} rows have {settings}; name the settings of one row"
            )
        found = rows[0].numbers[column]
        if not isinstance(found, Number):
            raise BaselineError(
                f"{self.file}:{rows[0].line}: {column} has no number ({found}); take another row"
            )
        return found


def read_table(number: int, file: Path | None = None) -> PaperTable:
    """Read a table of the paper.

    Args:
        number: the paper's, 1 to 14.
        file: where it stands; None: in this checkout's ``baselines/paper``.

    Raises:
        BaselineError: there is no such table, or the file cannot be read as the table.
    """
    if number not in OUTLINES:
        raise BaselineError(f"the paper has no Table {number}; its tables are 1 to {max(OUTLINES)}")
    file = file or FOLDER / f"table-{number}.csv"
    outline = OUTLINES[number]
    try:
        with file.open(encoding="utf-8", newline="") as text:
            reader = csv.reader(text, strict=True)
            _check_header(file, next(reader, []), outline)
            rows = [_row(file, reader.line_num, cells, outline) for cells in reader]
    except (OSError, UnicodeError, csv.Error) as error:
        raise BaselineError(
            f"{file}: cannot be read as the paper's Table {number} ({error}); {_AGAIN}"
        ) from error
    _check_rows(file, rows)
    return PaperTable(number, file, outline, tuple(rows))


def _check_header(file: Path, header: Sequence[str], outline: Outline) -> None:
    if tuple(header) == outline.columns:
        return
    missing = set(outline.columns) - set(header)
    foreign = set(header) - set(outline.columns)
    raise BaselineError(
        f"{file}:1: columns missing: {listing(missing)}; not of this table: {listing(foreign)}; "
        f"the header is {','.join(outline.columns)}, in this order"
    )


def _check_rows(file: Path, rows: Sequence[Row]) -> None:
    if not rows:
        raise BaselineError(f"{file}: has no rows; {_AGAIN}")
    seen: dict[frozenset[tuple[str, Setting]], int] = {}
    for row in rows:
        first = seen.setdefault(frozenset(row.settings.items()), row.line)
        if first != row.line:
            raise BaselineError(
                f"{file}:{row.line}: has the settings of line {first}; keep one of them"
            )


def _row(file: Path, line: int, cells: Sequence[str], outline: Outline) -> Row:
    if len(cells) != len(outline.columns):
        raise BaselineError(
            f"{file}:{line}: {len(cells)} cells for {len(outline.columns)} columns; {_AGAIN}"
        )
    settings: dict[str, Setting] = {}
    numbers: dict[str, Number | Absent] = {}
    words: dict[str, str] = {}
    for name, text in zip(outline.columns, cells, strict=True):
        column, place = COLUMNS[name], f"{file}:{line}: {name}"
        if column.role == "setting":
            settings[name] = read_setting(place, text, column)
        elif column.role == "word":
            words[name] = text
        elif text in ABSENT:
            numbers[name] = ABSENT[text]
        else:
            numbers[name] = read_number(place, text, column)
    return Row(line, settings, numbers, words)
