"""Strict JSON: what is written here, every reader of JSON can read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from editsuite.errors import EditsuiteError

#: The layout of ``observations.json`` that this version writes and reads.
SCHEMA = 1

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

#: Fields that hold numbers. Only there may a word stand for one: a fact's target may be "NaN".
_NUMBERS = frozenset(
    {
        *("value", "low", "high", "baseline", "tolerance", "n", "edits", "seconds", "steps"),
        *("nll_before", "nll_after", "loss_before", "loss_after", "key_norm", "value_norm"),
        *("denominator", "update_norm", "weight_norm_before"),
    }
)


class ReportError(EditsuiteError):
    """The data of a report cannot be read, or cannot be written as JSON."""


def dump_json(data: Mapping[str, Any]) -> str:
    """Write data as JSON text that holds no bare ``NaN``; equal data gives equal text.

    Args:
        data: JSON-able; floats may be NaN or infinite and become ``"NaN"``, ``"Infinity"`` and
            ``"-Infinity"``.

    Raises:
        ReportError: something in it is no JSON value; the message says where.
    """
    plain = _plain(data, "data")
    return json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n"


def load_json(text: str) -> dict[str, Any]:
    """Read what ``dump_json`` wrote; the number fields are numbers again, NaN as well.

    Raises:
        ReportError: the text is no strict JSON, no object, or of another schema.
    """
    try:
        data = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise ReportError(
            f"the observations are no strict JSON ({error}): write them with dump_json, "
            "or run the checks again"
        ) from error
    if not isinstance(data, dict):
        raise ReportError(
            f"the observations are a JSON {type(data).__name__}, not an object: "
            "pass the text of an observations.json"
        )
    check_schema(data)
    return {key: _numbers(value) for key, value in data.items()}


def read_observations(path: Path) -> dict[str, Any]:
    """``load_json`` of a file.

    Raises:
        ReportError: the file is absent or cannot be read as observations; the message names it.
    """
    try:
        return load_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(
            f"{path} cannot be read ({error}): name a folder that a run has written"
        ) from error
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from error


def check_schema(data: Mapping[str, Any]) -> None:
    """Refuse data of a layout that is not known here.

    Raises:
        ReportError: its ``schema`` is not the known one.
    """
    found = data.get("schema", SCHEMA)
    if found != SCHEMA:
        raise ReportError(
            f"the observations have schema {found!r}, known is {SCHEMA}: "
            "read them with the version of editsuite that wrote them, or run the checks again"
        )


def number(value: object) -> float | None:
    """A number of the data as a float: words for NaN and infinity are read, None stays None.

    Raises:
        ReportError: the value is neither.
    """
    if value is None:
        return None
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if isinstance(value, int | float):
        return float(value)
    raise ReportError(f"{value!r} stands where a number belongs: mend the data of the report")


def _refuse(word: str) -> float:
    raise ValueError(f"bare {word}")


def _plain(value: object, place: str) -> object:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _word(value)
    if isinstance(value, Mapping):
        return {_key(k, place): _plain(v, f"{place}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{place}[{i}]") for i, v in enumerate(value)]
    raise ReportError(
        f"{place} is a {type(value).__name__}, which JSON has no word for: "
        "pass a str, a number, None, a list or a dict"
    )


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _key(key: object, place: str) -> str:
    if isinstance(key, str):
        return key
    raise ReportError(f"{place} has the key {key!r}, which is no str: pass str({key!r})")


def _numbers(value: Any, field: str = "") -> Any:
    if isinstance(value, str):
        return _WORDS.get(value, value) if field in _NUMBERS else value
    if isinstance(value, list):
        return [_numbers(v, field) for v in value]
    if isinstance(value, dict):
        return {k: _numbers(v, k) for k, v in value.items()}
    return value
