"""Files of a dataset as rows that know where they stand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editsuite.errors import AbsentError, CapabilityError

_AGAIN = "mend it there, or fetch the file again"


@dataclass(frozen=True)
class Row:
    """One record of a file.

    Attributes:
        dataset: what it belongs to.
        place: file, and line or number of the record.
        values: what it holds.
    """

    dataset: str
    place: str
    values: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A text that is there and not empty.

        Raises:
            CapabilityError: it is missing, empty, or no text.
        """
        value = self._there(name)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(f"the field {name!r} is {_shown(value)}, not a text")
        return value

    def texts(self, name: str, least: int = 1) -> list[str]:
        """A list of texts.

        Raises:
            CapabilityError: it is missing, too short, or holds something else.
        """
        value = self._there(name)
        fine = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not fine or len(value) < least:
            raise self.wrong(f"the field {name!r} is {_shown(value)}, not {least} or more texts")
        return list(value)

    def number(self, name: str) -> int:
        """A whole number.

        Raises:
            CapabilityError: it is missing, or something else.
        """
        value = self._there(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(f"the field {name!r} is {_shown(value)}, not a whole number")
        return value

    def rows(self, name: str) -> tuple[Row, ...]:
        """The records that a field holds.

        Raises:
            CapabilityError: it is missing, or no list of records.
        """
        value = self._there(name)
        if not isinstance(value, list):
            raise self.wrong(f"the field {name!r} is {_shown(value)}, not a list")
        return rows_in(self.dataset, f"{self.place}, {name}", value)

    def row(self, name: str) -> Row:
        """The record that a field holds.

        Raises:
            CapabilityError: it is missing, or no record.
        """
        return rows_in(self.dataset, f"{self.place}, {name}", [self._there(name)])[0]

    def one_of(self, name: str, known: Sequence[str]) -> str:
        """A text that is one of the known ones.

        Raises:
            CapabilityError: it is another.
        """
        value = self.text(name)
        if value not in known:
            raise self.wrong(f"the field {name!r} is {value!r}, not one of {list(known)}")
        return value

    def wrong(self, reason: str) -> CapabilityError:
        """An error about this record."""
        return CapabilityError(self.dataset, self.place, reason, _AGAIN)

    def _there(self, name: str) -> Any:
        if name not in self.values:
            raise self.wrong(f"the field {name!r} is missing")
        return self.values[name]


def rows_in(dataset: str, place: str, records: Sequence[object]) -> tuple[Row, ...]:
    """Records of a list.

    Raises:
        CapabilityError: one is no mapping.
    """
    rows = []
    for number, record in enumerate(records, start=1):
        here = f"{place}, record {number}"
        if not isinstance(record, Mapping):
            raise CapabilityError(dataset, here, f"is {_shown(record)}, not a record", _AGAIN)
        rows.append(Row(dataset, here, record))
    return tuple(rows)


def json_of(dataset: str, path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        CapabilityError: the file is absent, empty, not UTF-8, or no JSON.
    """
    return _parsed(dataset, str(path), read_text(dataset, path))


def json_lines(dataset: str, path: Path) -> tuple[Row, ...]:
    """Records of a file with one JSON record a line; blank lines do not count.

    Raises:
        CapabilityError: the file is absent, empty, or not UTF-8, or a line is no JSON record.
    """
    rows = []
    # Not splitlines(): U+2028 and its like may stand unescaped inside a JSON string.
    for number, line in enumerate(read_text(dataset, path).split("\n"), start=1):
        if line.strip():
            here = f"{path}, line {number}"
            record = _parsed(dataset, here, line)
            if not isinstance(record, Mapping):
                raise CapabilityError(dataset, here, f"is {_shown(record)}, not a record", _AGAIN)
            rows.append(Row(dataset, here, record))
    return tuple(rows)


def csv_rows(dataset: str, path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Records of a comma-separated file without a header.

    Raises:
        CapabilityError: the file is absent, empty, or not UTF-8, or a line has another number of
            columns.
    """
    reader = csv.reader(io.StringIO(read_text(dataset, path), newline=""))
    for fields in reader:
        here = f"{path}, line {reader.line_num}"
        if len(fields) != len(columns):
            reason = f"has {len(fields)} columns, not the {len(columns)} {', '.join(columns)}"
            raise CapabilityError(dataset, here, reason, _AGAIN)
        yield Row(dataset, here, dict(zip(columns, fields, strict=True)))


def read_text(dataset: str, path: Path) -> str:
    """Text of a file that holds something.

    Raises:
        CapabilityError: the file is absent, empty, or not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        reason = f"is not UTF-8 ({error.reason})"
        raise CapabilityError(dataset, f"{path}, line {line}", reason, "save it as UTF-8") from None
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        mend = "put the file there, see docs/capabilities.md"
        kind = AbsentError if isinstance(error, FileNotFoundError) else CapabilityError
        raise kind(dataset, path, reason, mend) from error
    if not text.strip():
        raise CapabilityError(dataset, path, "is empty", "fetch the file again")
    return text


def _parsed(dataset: str, place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = f"{error.msg}, line {error.lineno}, column {error.colno}"
        raise CapabilityError(dataset, place, f"is no JSON ({at})", _AGAIN) from error
    except RecursionError as error:
        raise CapabilityError(dataset, place, "is nested too deeply", _AGAIN) from error


def _shown(value: object) -> str:
    return "empty" if value in ("", [], {}, None) else type(value).__name__
