"""Flows over the layers: shares, what moved, and how sure that is over items."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from editsuite.measures.observation import LEVEL

Numbers = NDArray[np.float64]
#: Draws of a bootstrap, and draws made at once.
DRAWS, AT_ONCE = 1999, 100


@dataclass(frozen=True)
class Curves:
    """Flows of one state.

    Attributes:
        flows: ``[items, 3, layers]`` raw, in nats.
    """

    flows: Numbers

    @classmethod
    def of(cls, flows: ArrayLike, scales: ArrayLike) -> Curves:
        """From flows of losses over their scales, and these."""
        found = np.asarray(flows, dtype=float) * np.asarray(scales, dtype=float)[:, None, None]
        return cls(found)

    @cached_property
    def raw(self) -> Numbers:
        """``[3, layers]``: the mean over items."""
        mean: Numbers = self.flows.mean(axis=0)
        return mean

    @cached_property
    def shares(self) -> Numbers:
        """``[3, layers]``: the means as shares that sum to one in each layer, as in Table 14."""
        return shares_of(self.raw)

    @cached_property
    def leverage(self) -> Numbers:
        """``[items, 3, layers]``: what each item moves the shares by, times the items.

        The linearised ratio (Cochran 1977, equation 6.13): the mean over items is 0, and its
        standard error is that of a share.
        """
        totals = self.flows.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            moved: Numbers = (self.flows - self.shares * totals) / self.raw.sum(axis=0)
        return moved


def shares_of(flows: Numbers) -> Numbers:
    """Flows ``[..., 3, layers]`` as shares that sum to one over the three; NaN where all are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: Numbers = flows / flows.sum(axis=-2, keepdims=True)
    return shares


def reach(values: Numbers) -> float:
    """Half of Student's 95 % interval of the mean of ``[items]`` values; inf of one item."""
    n = len(values)
    if n < 2:
        return float("inf")
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, n - 1))
    return quantile * float(values.std(ddof=1)) / float(np.sqrt(n))


def likeness(before: Numbers, after: Numbers) -> Numbers:
    """How alike two sets of shares ``[..., 3, layers]`` are.

    Returns:
        ``[4, ...]``: Pearson's r over the layers of each flow, and how far the shares have moved:
        the mean over layers of the total variation distance, 0 to 1.
    """
    x, y = (s - s.mean(axis=-1, keepdims=True) for s in (before, after))
    with np.errstate(invalid="ignore", divide="ignore"):
        norms = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
        r = np.clip((x * y).sum(axis=-1) / norms, -1.0, 1.0)
    moved = 0.5 * np.abs(after - before).sum(axis=-2).mean(axis=-1)
    found: Numbers = np.concatenate([np.moveaxis(r, -1, 0), moved[None]])
    return found


def likeness_limits(before: Curves, after: Curves) -> tuple[Numbers, Numbers]:
    """Both ends ``[4]`` of ``likeness``'s 95 % intervals, by drawing items in pairs.

    The percentile interval of ``scipy.stats.bootstrap``, from a seed of its own: the same numbers
    each time. Of a single item nothing is known, and the ends are the furthest there are.
    """
    n = len(before.flows)
    if n < 2:
        return np.array([-1.0, -1.0, -1.0, 0.0]), np.ones(4)

    def drawn(items: NDArray[np.intp], axis: int = -1) -> Numbers:
        old, new = (shares_of(curves.flows[items].mean(axis=-3)) for curves in (before, after))
        return likeness(old, new)

    with warnings.catch_warnings():
        # Two states may be wholly alike: then every draw gives 1, and that is no fault.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.arange(n),),
            drawn,
            n_resamples=DRAWS,
            batch=AT_ONCE,
            vectorized=True,
            confidence_level=LEVEL,
            method="percentile",
            rng=0,
        )
    return found.confidence_interval.low, found.confidence_interval.high
