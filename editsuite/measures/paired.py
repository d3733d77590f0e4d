"""Two states compared item by item: what is left, what moved, and how sure that is.

Each interval is the one whose ends its test in `editsuite.verdicts` decides by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from editsuite.measures.observation import LEVEL, Observation, Pairs

#: So many items must agree before their agreement speaks against another half: 2^-6 < 2.5 %.
_LEAST_ALIKE = 6


def retention(
    name: str, before: Sequence[float], after: Sequence[float], ids: Sequence[str] = ()
) -> Observation:
    """Mean score after over mean score before, of the same items, with a paired interval.

    - Every item right before: retention is the share that stayed right, and its interval Clopper
      and Pearson's (1934).
    - Else the interval holds every ratio ``r`` for which the mean of ``after - r before`` is not
      significantly apart from 0 (Fieller 1954, with Student's t), with one lost and one won item
      added. It is unbounded, and says so by ``inf``, where the score before is not surely above 0.
    - 0/1 scores of which none was won: retention is again the share of right items that stayed
      right. Neither interval alone holds its level then, so it is the hull of both.

    Args:
        name: the observation's name.
        before: scores in the unedited model, 0 to 1, times the items' weights.
        after: scores of the same items in the state, in the same order.
        ids: the items' names.

    Raises:
        MeasureError: no items, or not the same number of them.
    """
    pairs = Pairs(tuple(map(float, before)), tuple(map(float, after)), tuple(ids))
    whole = math.fsum(pairs.before)
    value = math.fsum(pairs.after) / whole if whole > 0 else math.nan
    low, high, how = _interval(pairs)
    return Observation(name, value, len(pairs.before), "ratio", low, high, how, pairs)


def _interval(pairs: Pairs) -> tuple[float, float, str]:
    """Both ends of the interval of a retention, and its name."""
    if not pairs.finite or not any(pairs.before):
        return 0.0, math.inf, "paired fieller 95%"
    if pairs.binary and all(pairs.before):
        return *_clopper_pearson(*pairs.kept), "exact binomial 95%"
    low, high = _fieller(*map(np.asarray, pairs.smoothed()))
    if pairs.binary and not pairs.won:
        exact_low, exact_high = _clopper_pearson(*pairs.kept)
        return min(low, exact_low), max(high, exact_high), "exact and fieller 95%"
    return low, high, "paired fieller 95%"


def _clopper_pearson(kept: int, right: int) -> tuple[float, float]:
    """Interval of the share of right items that stayed right."""
    held = stats.binomtest(kept, right).proportion_ci(LEVEL, method="exact")
    return float(held.low), float(held.high)


def _fieller(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Ratios of the means of ``y`` and ``x``, both ``[items]``, that nothing speaks against."""
    n = len(x)
    t = float(stats.t.ppf((1 + LEVEL) / 2, n - 1))
    mean_x, mean_y = float(x.mean()), float(y.mean())
    (xx, xy), (_, yy) = np.cov(x, y) / n
    # (mean_y - r mean_x)^2 <= t^2 (yy - 2 r xy + r^2 xx), a quadratic in r.
    a = mean_x**2 - t**2 * xx
    b = mean_x * mean_y - t**2 * xy
    c = mean_y**2 - t**2 * yy
    if a <= 0:
        return 0.0, math.inf
    root = math.sqrt(max(0.0, b * b - a * c))
    return max(0.0, float((b - root) / a)), float((b + root) / a)


def mean_change(
    name: str,
    before: Sequence[float],
    after: Sequence[float],
    unit: str,
    ids: Sequence[str] = (),
) -> Observation:
    """Mean of the items' changes, with Student's 95 % interval of paired differences.

    Where every item changed by the same number, Student's interval has no width; it is unbounded
    then for fewer than six items, from which on the sign test would tell (`_LEAST_ALIKE`).

    Args:
        name: the observation's name.
        before: of each item in the unedited model.
        after: of the same items in the state.
        unit: of the numbers.
        ids: the items' names.

    Raises:
        MeasureError: no items, or not the same number of them.
    """
    pairs = Pairs(tuple(map(float, before)), tuple(map(float, after)), tuple(ids))
    change = np.asarray(pairs.changes)
    value, n = float(change.mean()), len(change)
    if n < _LEAST_ALIKE and len({*pairs.changes}) == 1:
        far = math.inf
    else:
        error = float(change.std(ddof=1)) / math.sqrt(n)
        far = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    return Observation(name, value, n, unit, value - far, value + far, "student 95%", pairs)
