"""Numbers with their intervals: differences, quotients and means of them.

The intervals of two numbers are joined by squares (MOVER; Zou and Donner 2008, Statistics in
Medicine 27, 1693): exact for none of the shapes an interval can have, sound for all of them, and
for two proportions with Wilson's intervals it is Newcombe's method 10 (1998, Statistics in
Medicine 17, 873). It takes the numbers for independent. Scores of one set of items before and
after an edit are not; their difference is then surer than told here, never less sure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Interval(Protocol):
    """Anything with a value between two ends."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return shown(self)


def shown(one: Interval) -> str:
    """A number with its interval in words: ``0.84 (0.79 to 0.89)``."""
    if one.low == one.high == one.value:
        return _digits(one.value)
    return f"{_digits(one.value)} ({_digits(one.low)} to {_digits(one.high)})"


def minus(one: Interval, other: Interval) -> Estimate:
    """``one - other``."""
    value = _apart(one.value, other.value)
    down = math.hypot(_apart(one.value, one.low), _apart(other.high, other.value))
    up = math.hypot(_apart(one.high, one.value), _apart(other.value, other.low))
    return Estimate(value, value - down, value + up)


def over(one: Interval, other: Interval) -> Estimate:
    """``one / other``, by the logarithms of both; they must be positive.

    An infinite number is one that grew beyond all measure, as a perplexity can.
    """
    logs = minus(_logarithm(one), _logarithm(other))
    return Estimate(*(_exp(x) for x in (logs.value, logs.low, logs.high)))


def mean(several: Sequence[Interval]) -> Estimate:
    """The plain mean; the several are taken over different items."""
    k = len(several)
    value = math.fsum(one.value for one in several) / k
    down = float(np.linalg.norm([_apart(one.value, one.low) for one in several])) / k
    up = float(np.linalg.norm([_apart(one.high, one.value) for one in several])) / k
    return Estimate(value, value - down, value + up)


def _apart(a: float, b: float) -> float:
    """``a - b``, where two equal infinities are not apart."""
    return 0.0 if a == b else a - b


def _logarithm(one: Interval) -> Estimate:
    return Estimate(*(math.log(x) if x > 0 else -math.inf for x in (one.value, one.low, one.high)))


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _digits(x: float) -> str:
    return f"{x:.3g}" if abs(x) < 1000 or math.isinf(x) else f"{x:.3e}"
