"""Tests of one bound, asked both ways: is the truth above it, is it below?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW


def student(values: Sequence[float] | np.ndarray, bound: float) -> tuple[float, float]:
    """Student's t of a mean.

    Args:
        values: ``[items]``, not all alike.
        bound: of the mean.

    Returns:
        p of "at most the bound", p of "at least the bound".
    """
    held = DescrStatsW(np.asarray(values, dtype=float))
    above, below = (held.ttest_mean(bound, side)[1] for side in ("larger", "smaller"))
    return float(above), float(below)


def binomial(hits: int, n: int, bound: float) -> tuple[float, float]:
    """Exact test of a proportion.

    Args:
        hits: how many.
        n: of how many.
        bound: of the proportion.

    Returns:
        p of "at most the bound", p of "at least the bound".
    """
    above = stats.binomtest(hits, n, bound, alternative="greater").pvalue
    below = stats.binomtest(hits, n, bound, alternative="less").pvalue
    return float(above), float(below)
