"""Reading a method's hyperparameters from cards and settings, with errors that help."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from editsuite.errors import OptionError, listing

T = TypeVar("T")


def bounded(default: T, *, least: float) -> T:
    """A dataclass field with a default and a smallest value."""
    field: T = dataclasses.field(default=default, metadata={"least": least})
    return field


def read_hyperparameters(kind: type[T], given: Mapping[str, object], *, method: str) -> T:
    """Build a hyperparameter dataclass from its defaults and the given overrides.

    Raises:
        OptionError: an unknown name (the known ones are listed), a value of the wrong type, or a
            number that is not finite or too small.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = set(given) - set(fields)
    if unknown:
        raise OptionError(
            f"{method} has no hyperparameter {listing(unknown)}; it knows {listing(fields)}"
        )
    values = {name: _checked(hints[name], value, method, name) for name, value in given.items()}
    for name, value in values.items():
        _check_size(value, fields[name].metadata.get("least", -math.inf), method, name)
    return kind(**values)


def _checked(hint: Any, value: object, method: str, name: str) -> object:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if typing.get_origin(hint) is typing.Literal:
        allowed = typing.get_args(hint)
        if value in allowed:
            return value
        raise OptionError(f"{method}: {name} is {value!r}; it can be {listing(allowed)}")
    if bool not in options and isinstance(value, bool):
        raise OptionError(f"{method}: {name} is {value!r}; a number is needed")
    if float in options and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, options):
        return value
    wanted = " or ".join(option.__name__ for option in options)
    raise OptionError(f"{method}: {name} is {value!r}; a value of type {wanted} is needed")


def _check_size(value: object, least: float, method: str, name: str) -> None:
    if not isinstance(value, int | float):
        return
    if not math.isfinite(value) or value < least:
        mend = "a finite number is needed" if least == -math.inf else f"the least is {least:g}"
        raise OptionError(f"{method}: {name} is {value!r}; {mend}")
