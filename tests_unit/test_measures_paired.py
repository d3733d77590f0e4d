"""Intervals of paired comparisons hold what they promise: by simulation, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from editsuite.measures.paired import mean_change, retention

SCORE = st.integers(0, 20).map(lambda n: n / 20)
SCORES = st.lists(st.tuples(SCORE, SCORE), min_size=2, max_size=40)


@pytest.mark.parametrize("n", [64, 100])
@pytest.mark.parametrize(
    ("right", "stays", "gains"),
    [(1.0, 0.98, 0.0), (1.0, 0.9, 0.0), (1.0, 0.5, 0.0), (0.6, 0.9, 0.1), (0.3, 0.8, 0.1)],
)
def test_the_interval_of_a_retention_covers_the_true_one(
    n: int, right: float, stays: float, gains: float
) -> None:
    """Items right before stay right with ``stays``, wrong ones become right with ``gains``."""
    rng = np.random.default_rng(0)
    truth = (right * stays + (1 - right) * gains) / right
    runs = 1000
    held = 0
    for _ in range(runs):
        before = rng.random(n) < right
        after = np.where(before, rng.random(n) < stays, rng.random(n) < gains)
        found = retention("r", before.tolist(), after.tolist())
        held += found.low <= truth <= found.high
    # 95 % promised; a proportion this close to its edge is held a little more or less often.
    assert 0.93 <= held / runs <= 1.0


def test_few_items_that_all_stayed_right_are_no_proof_of_everything() -> None:
    few, many = retention("r", [1.0] * 8, [1.0] * 8), retention("r", [1.0] * 800, [1.0] * 800)
    assert few.value == many.value == 1.0
    assert few.low < 0.75
    assert 0.99 < many.low < 1.0


@given(SCORES)
def test_the_interval_holds_the_ratio_of_the_smoothed_means(
    pairs: list[tuple[float, float]],
) -> None:
    before, after = zip(*pairs, strict=True)
    found = retention("r", before, after)
    smoothed = (sum(after) + 1) / (sum(before) + 1)
    assert 0 <= found.low <= smoothed * (1 + 1e-9)
    assert smoothed <= found.high * (1 + 1e-9)


@given(SCORES)
def test_the_order_of_items_does_not_matter(pairs: list[tuple[float, float]]) -> None:
    shuffled = pairs[::-1]
    for compare in (
        retention,
        lambda name, before, after: mean_change(name, before, after, "nats"),
    ):
        first = compare("r", *zip(*pairs, strict=True))
        again = compare("r", *zip(*shuffled, strict=True))
        for field in ("value", "low", "high"):
            assert getattr(first, field) == pytest.approx(getattr(again, field), nan_ok=True)


def test_nothing_right_before_says_nothing() -> None:
    found = retention("r", [0.0] * 30, [0.0] * 30)
    assert math.isnan(found.value)
    assert (found.low, found.high) == (0.0, math.inf)


def test_a_mean_change_is_students_paired_interval() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.normal(-2, 1, 20), rng.normal(-2.5, 1, 20)
    found = mean_change("gold", before.tolist(), after.tolist(), "nats")
    wanted = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert mean_change("gold", [1.0], [2.0], "nats").high == math.inf
