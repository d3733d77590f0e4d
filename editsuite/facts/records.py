"""Files of records, and the fields of one record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from editsuite.errors import FactError
from editsuite.facts.request import FieldError

_SIZE_LIMIT = 1 << 30


def read_records(path: Path) -> list[object]:
    """Read a JSON list, or JSON lines where the name ends in `.jsonl`.

    Raises:
        FactError: no such file, no regular file, larger than 1 GiB, not readable, not UTF-8,
            broken JSON, or something other than a list at the top.
    """
    text = _text(path)
    if path.suffix.lower() == ".jsonl":
        return parse_lines(text, str(path))
    content = _parse(text, str(path))
    if not isinstance(content, list):
        raise FactError(
            f"{path}: holds {type(content).__name__} at the top, not a list of records; "
            "write the records as a JSON list, or one a line in a .jsonl file"
        )
    return content


def parse_lines(text: str, source: str) -> list[object]:
    """Parse JSON lines; blank lines do not count.

    Raises:
        FactError: a line is no JSON; the message names the line, counted from 1.
    """
    # Not splitlines(): U+2028 and its like may stand unescaped inside a JSON string.
    return [
        _parse(line, f"{source}, line {number}")
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]


def field_text(record: Mapping[str, Any], *path: str) -> str:
    """Text of a required field, without the white space around it.

    Args:
        record: one parsed record.
        path: keys to follow; a list on the way is entered at its first element.

    Raises:
        FieldError: the field is missing, empty, or no text.
    """
    name = ".".join(path)
    value = _follow(record, path)
    if value is None:
        raise FieldError("record", name, "is missing", "add it to the record")
    if not isinstance(value, str):
        raise FieldError("record", name, f"is {type(value).__name__}, not text", "write a string")
    if not value.strip():
        raise FieldError("record", name, "is empty", "fill it in")
    return value.strip()


def optional_text(record: Mapping[str, Any], *path: str) -> str | None:
    """Text of a field that may be missing or empty; None then.

    Raises:
        FieldError: the field is there and is no text.
    """
    value = _follow(record, path)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return field_text(record, *path)


def _follow(record: Mapping[str, Any], path: Sequence[str]) -> object:
    value: object = record
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
        # Datasets wrap one answer in a list, and its aliases in a list inside: the first stands.
        while isinstance(value, list):
            value = value[0] if value else None
    return value


def _text(path: Path) -> str:
    if not path.exists():
        raise FactError(f"{path}: no such file; check the path (from {Path.cwd()})")
    if not path.is_file():
        raise FactError(f"{path}: is no regular file; give the .json or .jsonl file itself")
    size = path.stat().st_size
    if size > _SIZE_LIMIT:
        raise FactError(
            f"{path}: {size} bytes is more than the 1 GiB a file of facts may have; "
            "cut it to the records you mean to teach"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FactError(f"{path}: is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise FactError(f"{path}: cannot be read ({error.strerror}); mend its rights") from error


def _parse(text: str, source: str) -> object:
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise FactError(
            f"{source}: is no JSON ({error.msg}, line {error.lineno}, column {error.colno}); "
            "mend it there, or fetch the file again"
        ) from error
    except RecursionError as error:
        raise FactError(f"{source}: is nested too deeply for a file of facts") from error
    return value
