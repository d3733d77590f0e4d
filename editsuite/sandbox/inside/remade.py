"""Types of the standard library that are told by what one calls them with.

The reader makes the object anew, by its own class. A subclass of a plain type that keeps the
plain type's comparison (a ``defaultdict``, a named tuple) goes as what it is underneath; one that
compares in its own way is no plain value.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

Arguments = tuple[object, ...]

#: By module and name: what to call the type with for an equal object.
MADE: dict[tuple[str, str], Callable[[Any], Arguments]] = {
    ("builtins", "range"): lambda v: (v.start, v.stop, v.step),
    ("builtins", "bytearray"): lambda v: (bytes(v),),
    ("collections", "Counter"): lambda v: (dict(v),),
    ("collections", "OrderedDict"): lambda v: (list(v.items()),),
    ("collections", "deque"): lambda v: (list(v), v.maxlen),
    ("array", "array"): lambda v: (v.typecode, list(v)),
    ("fractions", "Fraction"): lambda v: (v.numerator, v.denominator),
    ("decimal", "Decimal"): lambda v: (str(v),),
    ("datetime", "date"): lambda v: (v.year, v.month, v.day),
    ("datetime", "timedelta"): lambda v: (v.days, v.seconds, v.microseconds),
}
#: The object underneath one of a subclass, past whatever the subclass overrides.
_UNDERNEATH: dict[type, Callable[[Any], object]] = {
    int: lambda v: int.__add__(v, 0),
    float: lambda v: float.__mul__(v, 1.0),
    str: lambda v: str.__getitem__(v, slice(None)) if str.__len__(v) else "",
    bytes: lambda v: bytes.__getitem__(v, slice(None)) if bytes.__len__(v) else b"",
    list: lambda v: list(list.__iter__(v)),
    tuple: lambda v: tuple(tuple.__iter__(v)),
    set: lambda v: set(set.__iter__(v)),
    frozenset: lambda v: frozenset(frozenset.__iter__(v)),
    dict: lambda v: dict(zip(dict.keys(v), dict.values(v), strict=True)),
}


def made_of(value: object) -> tuple[str, Arguments] | None:
    """The type's full name and what to call it with; None for a type that is not known here."""
    key = (type(value).__module__, type(value).__qualname__)
    return (".".join(key), MADE[key](value)) if key in MADE else None


def base_value(value: object) -> object | None:
    """The plain value of a subclass's object; None where it is no such, or compares by itself."""
    kind: Any = type(value)
    for base, underneath in _UNDERNEATH.items():
        if issubclass(kind, base) and kind.__eq__ is base.__eq__:
            return underneath(value)
    return None


def remake(name: object, arguments: object) -> object:
    """Make the object.

    Raises:
        TypeError: no type that is known here, or not callable with that.
        ValueError: the type refuses its arguments.
    """
    module, _, kind = str(name).rpartition(".")
    if (module, kind) not in MADE or not isinstance(arguments, tuple):
        raise TypeError(f"unknown type {name!r}")
    try:
        return getattr(__import__(module), kind)(*arguments)
    except ArithmeticError as error:  # an overflow, a zero denominator, no decimal number
        raise ValueError(str(error)) from error
