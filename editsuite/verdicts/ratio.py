"""Is at least a share of the unedited model's score left, on the same items?"""

from __future__ import annotations

import numpy as np

from editsuite.measures.observation import Pairs
from editsuite.verdicts.one_sided import binomial, student
from editsuite.verdicts.verdict import Evidence


def ratio_test(pairs: Pairs, bound: float) -> Evidence:
    """Test ``mean(after) / mean(before)`` against a bound, both ways.

    The ratio lies above the bound exactly where the mean of ``after - bound before`` is above 0.

    - Every item right before, 0/1 scores: those that stayed right are binomial (exact).
    - Else Student's t of ``after - bound before`` with one lost and one won item added, the test
      whose interval is Fieller's. Without the two, a sample in which nothing happened to change
      would count as certain: at level 2.5 % and 64 items the test would be wrong in up to 14 %
      (`docs/verdicts.md`).
    - 0/1 scores of which none was won: the larger p of both.

    Args:
        pairs: weighted scores, none negative.
        bound: the ratio, above 0.

    Returns:
        p = 1 both ways where nothing was right before: what was not there cannot be lost.
    """
    if not pairs.finite:
        return Evidence(1.0, 1.0, "none: an item has no number")
    if not any(pairs.before):
        return Evidence(1.0, 1.0, "none: nothing was right before")
    if pairs.binary and all(pairs.before):
        return _binomial(pairs, bound)
    graded = _student(pairs, bound)
    if not pairs.binary or pairs.won:
        return graded
    exact = _binomial(pairs, bound)
    return Evidence(
        max(graded.retained, exact.retained),
        max(graded.lost, exact.lost),
        "larger p of exact binomial and paired t",
    )


def _binomial(pairs: Pairs, bound: float) -> Evidence:
    """Of the items that were right, more or fewer stayed so than the bound."""
    return Evidence(*binomial(*pairs.kept, bound), "exact binomial")


def _student(pairs: Pairs, bound: float) -> Evidence:
    """Student's t of ``after - bound before``, where the score before is surely above 0."""
    before, after = map(np.asarray, pairs.smoothed())
    # Fieller's interval is unbounded where this is not small; then no ratio is ruled out.
    there, _ = student(before, 0.0)
    above, below = student(after - bound * before, 0.0)
    return Evidence(max(there, above), max(there, below), "paired t of after - bound x before")
