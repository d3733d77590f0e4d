"""Rows and cells of the paper's tables: settings, and numbers with the decimals printed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from editsuite.errors import BaselineError
from editsuite.verdicts.columns import BOUNDS, WHOLE, Column
from editsuite.verdicts.tables import Setting

#: Why a cell has no number.
Absent = Literal["not measured", "nothing generated"]
#: How a file writes that.
ABSENT: Mapping[str, Absent] = {"": "not measured", "none": "nothing generated"}

_NUMBER = re.compile(r"-?\d+(?:\.(\d+))?", re.ASCII)


@dataclass(frozen=True)
class Number:
    """A printed number.

    Attributes:
        value: the number.
        decimals: how many were printed.
    """

    value: float
    decimals: int

    @property
    def exact(self) -> Decimal:
        """The number in decimal, as printed."""
        return Decimal(f"{self.value:.{self.decimals}f}")

    @property
    def half_width(self) -> Decimal:
        """How far the unrounded number may lie from the printed one: half its last digit."""
        return Decimal(5).scaleb(-self.decimals - 1)

    def agrees(self, other: Number) -> bool:
        """Whether both can be one number, rounded to different decimals."""
        return abs(self.exact - other.exact) <= self.half_width + other.half_width


@dataclass(frozen=True)
class Row:
    """One setting and what was measured there.

    Attributes:
        line: of the file, from 1.
        settings: what was done, by column.
        numbers: what was measured, by column, or why nothing was.
        words: descriptions, by column.
    """

    line: int
    settings: Mapping[str, Setting]
    numbers: Mapping[str, Number | Absent]
    words: Mapping[str, str]


def read_setting(place: str, text: str, column: Column) -> Setting:
    """Read a cell that tells what was done.

    Args:
        place: file, line and column, for the message.
        text: the cell.
        column: its meaning.

    Raises:
        BaselineError: the cell is empty, or no number where the column has numbers.
    """
    if column.unit == "text":
        if not text:
            raise BaselineError(f"{place}: is empty; a row must tell its settings")
        return text
    number = read_number(place, text, column)
    if column.unit in WHOLE and number.decimals:
        raise BaselineError(f"{place}: {text!r} is no whole number; write it without a point")
    return int(number.value) if column.unit in WHOLE else number.value


def read_number(place: str, text: str, column: Column) -> Number:
    """Read a cell with a number.

    Args:
        place: file, line and column, for the message.
        text: the cell.
        column: its meaning.

    Raises:
        BaselineError: the cell is no number, or none that its unit can have.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise BaselineError(
            f"{place}: {text!r} is no number; write digits with a point, as the paper prints them"
        )
    low, high = BOUNDS[column.unit]
    if not low <= float(text) <= high or math.isinf(float(text)):
        raise BaselineError(
            f"{place}: {text} is no {column.unit}, which lies within {low} to {high}; "
            "write what the paper prints"
        )
    return Number(float(text), len(match[1] or ""))
