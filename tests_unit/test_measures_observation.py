"""Intervals hold what they promise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.measures.observation import exact, exp_of_mean, share

RUNS = 2000
LEAST = 0.93

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(SCORES)
def test_a_share_is_the_mean_and_lies_in_its_interval(scores: list[float]) -> None:
    seen = share("x", scores)
    assert seen.value == pytest.approx(float(np.mean(scores)))
    assert seen.n == len(scores)
    assert 0 <= seen.low <= seen.value + 1e-12
    assert seen.value - 1e-12 <= seen.high <= 1 + 1e-12
    assert share("x", scores[::-1]) == seen


def test_wilsons_interval_is_the_textbooks() -> None:
    """Wilson 1927: the roots of ``(p - t)^2 = z^2 t (1 - t) / n``."""
    seen, z, n, p = share("x", [1.0] * 7 + [0.0] * 3), 1.959963984540054, 10, 0.7
    for t in (seen.low, seen.high):
        assert (p - t) ** 2 == pytest.approx(z**2 * t * (1 - t) / n)


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_the_interval_covers_a_share_of_yes_and_no(n: int, p: float) -> None:
    random = np.random.default_rng(n)
    covered = 0
    for _ in range(RUNS):
        seen = share("x", (random.random(n) < p).astype(float).tolist())
        covered += seen.low <= p <= seen.high
    assert covered / RUNS >= LEAST


@pytest.mark.parametrize("n", [20, 100])
def test_the_interval_covers_a_mean_of_parts(n: int) -> None:
    """Shares of two to four target tokens: each between 0 and 1, some hard and some easy."""
    random = np.random.default_rng(n)
    covered, truth = 0, 0.6  # the mean of Beta(0.6, 0.4)
    for _ in range(RUNS):
        tokens = random.integers(1, 5, n)
        scores = random.binomial(tokens, random.beta(0.6, 0.4, n)) / tokens
        seen = share("x", scores.tolist())
        covered += seen.low <= truth <= seen.high
    assert covered / RUNS >= LEAST


def test_the_interval_covers_a_ratio_over_passages() -> None:
    """Passages of differing length and difficulty; the tokens of one hang together."""
    random = np.random.default_rng(0)
    truth = 3.0
    covered, k = 0, 48
    for _ in range(RUNS):
        tokens = random.integers(40, 200, k)
        difficulty = truth + 0.4 * random.standard_normal(k)
        totals = tokens * difficulty + np.sqrt(tokens) * 2.5 * random.standard_normal(k)
        seen = exp_of_mean("x", totals.tolist(), tokens.tolist(), "perplexity")
        covered += seen.low <= math.exp(truth) <= seen.high
    assert covered / RUNS >= LEAST


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 500), st.integers(1, 200)), min_size=1, max_size=20))
def test_the_exponential_of_a_mean_is_one(pairs: list[tuple[float, int]]) -> None:
    totals, tokens = [t for t, _ in pairs], [w for _, w in pairs]
    seen = exp_of_mean("x", totals, tokens, "perplexity")
    mean = math.fsum(totals) / sum(tokens)
    if mean < 700:
        assert seen.value == pytest.approx(math.exp(mean))
    else:
        assert seen.value == math.inf
    assert seen.n == sum(tokens)
    assert seen.low <= seen.value <= seen.high


def test_one_passage_tells_nothing_of_its_spread() -> None:
    seen = exp_of_mean("x", [30.0], [10], "perplexity")
    assert (seen.low, seen.high) == (0.0, math.inf)


def test_passages_alike_leave_no_doubt() -> None:
    seen = exp_of_mean("x", [30.0, 60.0, 15.0], [10, 20, 5], "perplexity")
    assert seen.low == pytest.approx(seen.high) == pytest.approx(math.exp(3))


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_no_number_stays_none(broken: float) -> None:
    seen = exp_of_mean("x", [30.0, broken], [10, 10], "perplexity")
    assert not math.isfinite(seen.value)


def test_an_observation_is_json() -> None:
    for seen in (share("x", [1.0, 0.5]), exact("y", 0.25, 4, "ratio")):
        assert json.loads(json.dumps(seen.as_json())) == seen.as_json()


def test_an_exact_number_has_no_width() -> None:
    seen = exact("y", 0.25, 4, "ratio")
    assert seen.low == seen.value == seen.high
    assert seen.interval == "exact"
