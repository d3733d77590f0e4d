"""From an observation to its verdict: which question is asked, and by which test."""

from __future__ import annotations

import math
from dataclasses import replace

from scipy import stats

from editsuite.errors import MeasureError
from editsuite.measures.observation import LEVEL, Observation, Pairs
from editsuite.verdicts.difference import difference_test, mcnemar_test
from editsuite.verdicts.ratio import ratio_test
from editsuite.verdicts.verdict import MARGIN, Verdict


def nats(margin: float) -> float:
    """A margin of a ratio as one of log-likelihoods: ``-ln(1 - margin)``.

    Where the right answers' mean log-likelihood falls by so much, the geometric mean of their
    probabilities is ``1 - margin`` of what it was.
    """
    return -math.log1p(-margin)


def compares(observation: Observation) -> bool:
    """Whether a verdict can be given: more is better, and the unedited model has been asked too.

    A ratio of perplexities or of norms is none: there more is no better.
    """
    known = {"retention": "ratio", "gold": "nats"}
    paired = observation.pairs is not None and observation.unit in known.values()
    return paired or known.get(observation.name.rpartition(".")[2]) == observation.unit


def verdict(observation: Observation, margin: float = MARGIN) -> Verdict:
    """Is it retained, or lost by more than a margin?

    Args:
        observation: a ratio to the unedited model, or a mean change in nats. With its pairs it is
            tested item by item; without, as a paper's number is, its interval decides.
        margin: what share of the unedited model's may be missing, between 0 and 1; of
            log-likelihoods it is taken as `nats` tells.

    Raises:
        MeasureError: the observation compares no states, or the margin leaves nothing to test.
    """
    if not 0 < margin < 1:
        raise MeasureError(
            f"{observation.name}: a margin of {margin:g} leaves nothing between retained and "
            "lost; give one above 0 and below 1, or ask with `moved` whether anything changed"
        )
    if not compares(observation):
        raise MeasureError(
            f"{observation.name} ({observation.unit}) is no score or log-likelihood held against "
            "the unedited model's; a verdict needs a `retention`, or a `mean_change` in nats"
        )
    ratio = observation.unit == "ratio"
    found = _untested(observation, margin if ratio else nats(margin))
    if observation.pairs is None:
        return found
    test = ratio_test if ratio else difference_test
    return replace(found, evidence=test(observation.pairs, found.bound))


def moved(observation: Observation) -> Verdict:
    """Is the state better or worse than the unedited model at all?

    0/1 scores: exact McNemar; its interval is that of the difference of paired shares with one
    lost and one won item added (Bonett and Price 2012). Weighted and graded scores: Student's t
    with the two items added. Log-likelihoods: Student's t.

    Args:
        observation: a retention or a mean change, with pairs.

    Raises:
        MeasureError: it has no pairs.
    """
    pairs = observation.pairs
    if pairs is None:
        raise MeasureError(
            f"{observation.name} comes without the items behind it; whether they moved can be "
            "told of a live run's retentions and changes only"
        )
    if observation.unit != "ratio":
        return replace(_untested(observation, 0.0), evidence=difference_test(pairs, 0.0))
    found = replace(
        _untested(observation, 0.0),
        estimate=math.fsum(pairs.changes) / len(pairs.changes),
        unit="share",
        interval="student 95%, two items added",
    )
    if not pairs.finite:
        return replace(found, low=-math.inf, high=math.inf, evidence=difference_test(pairs, 0.0))
    more = Pairs(*pairs.smoothed())
    held = stats.ttest_1samp(more.changes, 0.0).confidence_interval(LEVEL)
    if pairs.binary:
        tested = mcnemar_test(pairs)
    else:
        tested = replace(difference_test(more, 0.0), test="paired t, two items added")
    return replace(found, low=float(held.low), high=float(held.high), evidence=tested)


def _untested(observation: Observation, margin: float) -> Verdict:
    """The verdict of the interval alone."""
    o = observation
    return Verdict(o.name, o.value, o.low, o.high, o.n, o.unit, margin, o.interval, None)
