"""Observations held against a baseline: which numbers moved by more than their noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "missing", "left over"]

#: Two floats that differ by less than this part of their size are the same number written twice.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Expected:
    """A number of a baseline.

    Attributes:
        value: the number.
        tolerance: how far a later number may lie from it (measured noise; until
            calibrated, the least there is).
    """

    value: float
    tolerance: float


@dataclass(frozen=True)
class Comparison:
    """One number beside its baseline.

    Attributes:
        name: the observation's name.
        value: what was observed; None where the baseline names something that was not.
        expected: the baseline; None where it has no such number.
        outcome: the verdict.
    """

    name: str
    value: float | None
    expected: Expected | None
    outcome: Outcome

    @property
    def difference(self) -> float:
        """New less old; NaN where one is missing."""
        if self.value is None or self.expected is None:
            return math.nan
        return self.value - self.expected.value


def compare(
    observed: Mapping[str, float], expected: Mapping[str, Expected]
) -> tuple[Comparison, ...]:
    """Hold numbers against their baselines, by name.

    A number passes when it lies within the tolerance. NaN never passes. A number without a
    baseline is missing one; a baseline without a number is left over; neither passes.
    """
    return tuple(
        _compare_one(name, observed.get(name), expected.get(name))
        for name in sorted({*observed, *expected})
    )


def _compare_one(name: str, value: float | None, expected: Expected | None) -> Comparison:
    if value is None:
        return Comparison(name, None, expected, "left over")
    if expected is None:
        return Comparison(name, value, None, "missing")
    room = expected.tolerance + ROUNDING * max(abs(value), abs(expected.value))
    # Written so that NaN on either side, or an infinite difference, fails; equal infinities pass.
    near = value == expected.value or abs(value - expected.value) <= room < math.inf
    return Comparison(name, value, expected, "pass" if near else "fail")
