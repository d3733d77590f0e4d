"""An observation: one number a measure gave, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from statsmodels.stats.proportion import proportion_confint

from editsuite.errors import MeasureError

#: Confidence of every interval.
LEVEL = 0.95
#: Its two-sided standard normal quantile.
Z = 1.959963984540054


@dataclass(frozen=True)
class Pairs:
    """The same items in the unedited model and in a state.

    Attributes:
        before: of each item in the unedited model, weighted.
        after: of the same items in the state, in the same order.
        ids: the items' names, where they have some.

    Raises:
        MeasureError: there are no items, or not as many of one as of the other.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.before)
        if not n or len(self.after) != n or len(self.ids) not in (0, n):
            raise MeasureError(
                f"{n} items before, {len(self.after)} after, {len(self.ids)} names: a paired "
                "comparison needs the same items, at least one, in both states"
            )

    @property
    def finite(self) -> bool:
        """Whether every item has a number in both states."""
        return all(map(math.isfinite, (*self.before, *self.after)))

    @property
    def binary(self) -> bool:
        """Whether every item is right or wrong, and all count alike."""
        return {*self.before, *self.after} <= {0.0, 1.0}

    @property
    def lost(self) -> tuple[int, ...]:
        """Places of the items that became worse."""
        return tuple(i for i, d in enumerate(self.changes) if d < 0)

    @property
    def won(self) -> tuple[int, ...]:
        """Places of the items that became better."""
        return tuple(i for i, d in enumerate(self.changes) if d > 0)

    @property
    def changes(self) -> tuple[float, ...]:
        """What each item gained or lost."""
        return tuple(a - b for b, a in zip(self.before, self.after, strict=True))

    @property
    def kept(self) -> tuple[int, int]:
        """Of 0/1 scores: how many items stayed right, and how many were right before."""
        stayed = sum(b > 0 and a > 0 for b, a in zip(self.before, self.after, strict=True))
        return stayed, sum(b > 0 for b in self.before)

    def smoothed(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Scores before and after, with one item that was lost and one that was won added.

        So Student's t does not take a sample in which hardly any answer changed for certainty
        (Bonett and Price 2012, Journal of Educational and Behavioral Statistics 37, 479).
        """
        return (*self.before, 1.0, 0.0), (*self.after, 0.0, 1.0)


@dataclass(frozen=True)
class Observation:
    """One number.

    Attributes:
        name: what it is a number of, dotted: ``reliability.sequential.teacher_forced``.
        value: the number; NaN where it is taken over no item at all.
        n: how many items it is taken over; 0 where there is nothing to take a number of.
        unit: ``share`` (of items), ``perplexity``, ``ratio``, ``correlation``, ``norm``, ``nats``,
            ``count``; ``flow`` (share of saliency), ``flow ratio``, ``likeness`` (of two curves).
        low: lower end of the interval.
        high: upper end.
        interval: how the interval was found; ``exact`` where nothing was sampled.
        pairs: the items behind a comparison of two states, where it is one.
    """

    name: str
    value: float
    n: int
    unit: str
    low: float
    high: float
    interval: str
    pairs: Pairs | None = None

    @property
    def absent(self) -> bool:
        """Whether there was nothing to take a number of; the report writes ``/``."""
        return self.n == 0

    def as_json(self) -> dict[str, object]:
        """The fields as JSON values, without the pairs.

        They are as long as the benchmark, and the look store keeps them; what they say stands in
        the verdict.
        """
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "pairs"}


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
