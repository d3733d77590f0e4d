"""An observation: one number a measure gave, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from statsmodels.stats.proportion import proportion_confint

#: Confidence of every interval.
LEVEL = 0.95
#: Its two-sided standard normal quantile.
Z = 1.959963984540054


@dataclass(frozen=True)
class Observation:
    """One number.

    Attributes:
        name: what it is a number of, dotted: ``reliability.sequential.teacher_forced``.
        value: the number; NaN where it is taken over no item at all.
        n: how many items it is taken over; 0 where there is nothing to take a number of.
        unit: ``share``, ``perplexity``, ``ratio``, ``correlation``, ``norm``.
        low: lower end of the interval.
        high: upper end.
        interval: how the interval was found; ``exact`` where nothing was sampled.
    """

    name: str
    value: float
    n: int
    unit: str
    low: float
    high: float
    interval: str

    @property
    def absent(self) -> bool:
        """Whether there was nothing to take a number of; the report writes ``/``."""
        return self.n == 0

    def as_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return asdict(self)


def share(name: str, scores: Sequence[float]) -> Observation:
    """Mean of scores between 0 and 1, with Wilson's 95 % interval.

    For scores of 0 and 1 that is the usual interval of a proportion. A mean of scores in between
    has a variance of at most ``p (1 - p)``, so the interval is no narrower than it should be.
    """
    total = math.fsum(scores)
    low, high = proportion_confint(total, len(scores), alpha=1 - LEVEL, method="wilson")
    if total == 0:
        low = 0.0  # the closed form leaves rounding there
    if total == len(scores):
        high = 1.0
    return Observation(name, total / len(scores), len(scores), "share", low, high, "wilson 95%")


def absent(name: str, unit: str) -> Observation:
    """No number, because there was nothing to take it of."""
    return Observation(name, math.nan, 0, unit, math.nan, math.nan, "nothing to measure")


def exact(name: str, value: float, n: int, unit: str) -> Observation:
    """A number computed from all there is, not from a sample."""
    return Observation(name, value, n, unit, value, value, "exact")


def exp_of_mean(
    name: str, totals: Sequence[float], tokens: Sequence[int], unit: str
) -> Observation:
    """``exp(sum of totals / sum of tokens)`` with the ratio estimator's 95 % interval.

    Passages are what was sampled, tokens of one passage hang together; so the variance is taken
    over passages (linearised ratio, Cochran 1977, equation 6.13), and the interval is
    symmetric in the logarithm. A mean that is infinite has an infinite value and no bounds.

    Args:
        name: the observation's name.
        totals: summed over a passage's tokens, in nats.
        tokens: number of tokens of each passage.
        unit: the observation's unit.
    """
    k, n = len(totals), sum(tokens)
    mean = _sum(totals) / n
    if not math.isfinite(mean):
        return Observation(name, _exp(mean), n, unit, *_unbounded(mean), "ratio over passages 95%")
    if k > 1:
        spread = math.fsum((t - mean * w) ** 2 for t, w in zip(totals, tokens, strict=True))
        error = math.sqrt(k / (k - 1) * spread) / n
    else:
        error = math.inf
    return Observation(
        name,
        _exp(mean),
        n,
        unit,
        _exp(mean - Z * error),
        _exp(mean + Z * error),
        "ratio over passages 95%",
    )


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _sum(numbers: Sequence[float]) -> float:
    try:
        return math.fsum(numbers)
    except (ValueError, OverflowError):  # infinities of both signs, or a sum beyond all floats
        return sum(numbers)


def _unbounded(mean: float) -> tuple[float, float]:
    return (math.nan, math.nan) if math.isnan(mean) else (0.0, math.inf)
