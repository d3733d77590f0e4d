"""Values on the wire: what is written is what is read, and other bytes are a value or an error."""

from __future__ import annotations

import math
from array import array
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from datetime import date, timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.sandbox.inside.plain import DEEPEST, NotPlainError, Reader, WireError, Writer

MOST = 1 << 20


def write(value: object) -> bytes:
    return Writer(lambda v: id(v) % 1000, MOST).write(value)


def read(content: bytes) -> Any:
    return Reader(content, lambda number, kind: ("handle", number, kind)).read()


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(max_size=4)
    | st.binary(max_size=4)
    | st.fractions(max_denominator=99)
)
hashable = leaves | st.tuples(leaves, leaves)
values: st.SearchStrategy[object] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.builds(deque, st.lists(inner, max_size=3))
    ),
    max_leaves=6,
)


def same(a: object, b: object) -> bool:
    """Equal, and of the same types all the way down."""
    return a == b and repr(a) == repr(b)


@settings(max_examples=100, deadline=None)
@given(values)
def test_what_is_written_is_what_is_read(value: object) -> None:
    assert same(read(write(value)), value)


@settings(max_examples=50, deadline=None)
@given(st.frozensets(hashable, max_size=4))
def test_sets_come_back(value: frozenset[object]) -> None:
    """In some order: that of an equal set may be another."""
    assert read(write(value)) == value
    assert read(write(set(value))) == set(value)


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        math.inf,
        range(1, 9, 2),
        bytearray(b"x"),
        Counter("aab"),
        OrderedDict([(2, 1), (1, 2)]),
        deque([1, 2], 2),
        array("i", [1, 2]),
        Fraction(1, 3),
        Decimal("1.50"),
        date(2024, 2, 29),
        timedelta(1, 2, 3),
        int,
        dict,
        "\ud800",
        1 << 4000,
        -(1 << 4000),
        -128,
        255,
    ],
)
def test_values_of_the_library_come_back(value: object) -> None:
    assert same(read(write(value)), value)


def test_nan_comes_back() -> None:
    assert math.isnan(read(write(math.nan)))


class Level(IntEnum):
    HIGH = 3


class Same(list[int]):
    """A subclass that compares as a list does."""


class Lying(list[int]):
    """A subclass that compares as it likes."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


def test_a_subclass_goes_as_what_it_is_underneath() -> None:
    point = namedtuple("point", "x y")
    for value, base in (
        (Level.HIGH, 3),
        (Same([1]), [1]),
        (point(1, 2), (1, 2)),
        (defaultdict(int, a=1), {"a": 1}),
        (type("S", (str,), {})("x"), "x"),
        (type("F", (float,), {})(-0.0), -0.0),
        (type("B", (bytes,), {})(b""), b""),
        (type("Z", (frozenset,), {})([1]), frozenset([1])),
    ):
        assert same(read(write(value)), base)


@pytest.mark.parametrize(
    "value", [Lying([3]), object(), len, lambda: 3, NotImplemented, ..., ValueError]
)
def test_any_other_object_is_a_number_and_the_name_of_its_type(value: object) -> None:
    assert read(write([value])) == [("handle", id(value) % 1000, type(value).__name__)]


def test_a_value_too_deep_or_too_big_or_within_itself_is_not_written() -> None:
    within: list[object] = []
    within.append(within)
    deep: object = 3
    for _ in range(DEEPEST + 1):
        deep = [deep]
    for value in (within, deep, "x" * (MOST + 1), [0] * MOST):
        with pytest.raises(NotPlainError):
            write(value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_wrong(content: bytes) -> None:
    try:
        read(content)
    except WireError:
        return


@settings(max_examples=100, deadline=None)
@given(values, st.data())
def test_a_changed_byte_is_a_value_or_wrong(value: object, data: st.DataObject) -> None:
    content = bytearray(write(value))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    for changed in (bytes(content), bytes(content[:at])):
        try:
            read(changed)
        except WireError:
            continue


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"NN",
        b"?",
        b"l\xff\xff\xff\xff",
        b"s\0\0\0\1\xff",
        b"t\0\0\0\4eval",
        b"e\0\0\0\1l\0\0\0\0",
        b"d\0\0\0\1N",
        b"xs\0\0\0\x09os.systemu\0\0\0\1s\0\0\0\4true",
        b"xs\0\0\0\x0bbuiltins.intu\0\0\0\0",
        b"xs\0\0\0\x12fractions.Fractionu\0\0\0\2i\0\0\0\1\1i\0\0\0\1\0",
        b"l\0\0\0\1" * (DEEPEST + 2) + b"N",
    ],
)
def test_bytes_that_are_no_value_are_wrong(content: bytes) -> None:
    with pytest.raises(WireError):
        read(content)
