"""Did the same items change, and by more than a margin?"""

from __future__ import annotations

import numpy as np

from editsuite.measures.observation import Pairs
from editsuite.verdicts.one_sided import binomial, student
from editsuite.verdicts.verdict import Evidence


def mcnemar_test(pairs: Pairs) -> Evidence:
    """Exact McNemar test: were as many 0/1 items won as lost?

    Under "nothing but chance" each item that changed was won with probability 1/2, so the number
    won among the changed is binomial (McNemar 1947, Psychometrika 12, 153; exact form). Items
    that did not change say nothing.

    Returns:
        p = 1 both ways where no item changed.
    """
    won, changed = len(pairs.won), len(pairs.won) + len(pairs.lost)
    if not changed:
        return Evidence(1.0, 1.0, "exact mcnemar")
    return Evidence(*binomial(won, changed, 0.5), "exact mcnemar")


def difference_test(pairs: Pairs, bound: float) -> Evidence:
    """Test the mean of the items' changes against a bound, both ways.

    Student's t of paired differences. Where all items changed by the same number, t would be
    infinite however few they are; the exact sign test takes its place.

    Args:
        pairs: of any sign, as log-likelihoods.
        bound: a mean change, in the pairs' unit; at most 0 where less is worse.

    Returns:
        p = 1 both ways where an item has no number, as in a model that says NaN.
    """
    if not pairs.finite:
        return Evidence(1.0, 1.0, "none: an item has no number")
    change = np.asarray(pairs.changes)
    if np.ptp(change) == 0:
        above, apart = int(np.sum(change > bound)), int(np.sum(change != bound))
        if not apart:
            return Evidence(1.0, 1.0, "exact sign test")
        return Evidence(*binomial(above, apart, 0.5), "exact sign test")
    return Evidence(*student(change, bound), "paired t")
