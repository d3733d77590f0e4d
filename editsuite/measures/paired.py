"""Two states compared item by item: what is left, what moved, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from editsuite.measures.observation import LEVEL, Observation, Z

#: One item that was lost and one that was won are added: so the interval holds where hardly any
#: answer changed (Bonett and Price 2012, Journal of Educational and Behavioral Statistics 37, 479).
_CELLS = ((1.0, 0.0), (0.0, 1.0))


def retention(name: str, before: Sequence[float], after: Sequence[float]) -> Observation:
    """Mean score after over mean score before, of the same items, with a paired interval.

    The interval holds every ratio ``r`` for which the mean of ``after - r before`` is not
    significantly apart from 0 (Fieller 1954), with one lost and one won item added. It is
    unbounded, and says so by ``inf``, where the score before is not surely above 0.

    Args:
        name: the observation's name.
        before: scores in the unedited model, 0 to 1.
        after: scores of the same items in the state, in the same order.
    """
    x, y = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    value = float(y.mean() / x.mean()) if x.mean() > 0 else math.nan
    low, high = _fieller(x, y)
    return Observation(name, value, len(x), "ratio", low, high, "paired fieller 95%")


def _fieller(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Ratios of the means of ``y`` and ``x`` that the pairs do not speak against."""
    pairs = np.concatenate([np.stack([x, y], axis=1), np.asarray(_CELLS)])
    mean_x, mean_y = (float(m) for m in pairs.mean(axis=0))
    (xx, xy), (_, yy) = np.cov(pairs, rowvar=False, ddof=0) / len(pairs)
    # (mean_y - r mean_x)^2 <= z^2 (yy - 2 r xy + r^2 xx), a quadratic in r.
    a = mean_x**2 - Z**2 * xx
    b = mean_x * mean_y - Z**2 * xy
    c = mean_y**2 - Z**2 * yy
    if a <= 0:
        return 0.0, math.inf
    root = math.sqrt(max(0.0, b * b - a * c))
    return max(0.0, float((b - root) / a)), float((b + root) / a)


def mean_change(
    name: str, before: Sequence[float], after: Sequence[float], unit: str
) -> Observation:
    """Mean of the items' changes, with Student's 95 % interval of paired differences.

    Args:
        name: the observation's name.
        before: of each item in the unedited model.
        after: of the same items in the state.
        unit: of the numbers.
    """
    change = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    value, n = float(change.mean()), len(change)
    if n < 2:
        return Observation(name, value, n, unit, -math.inf, math.inf, "student 95%")
    error = float(change.std(ddof=1)) / math.sqrt(n)
    far = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    return Observation(name, value, n, unit, value - far, value + far, "student 95%")
