"""Tolerances: from measured noise, and the least there is."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.verdicts.tolerance import least_tolerance, tolerance

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5)


@pytest.mark.parametrize("draws", [2, 3, 5])
def test_a_new_draw_lies_within_the_interval_around_the_mean(draws: int) -> None:
    """The 95 % prediction interval is about the mean of the draws: so it covers 95 %."""
    random.seed(0)
    hits, runs = 0, 4000
    for _ in range(runs):
        base, *others, new = (random.gauss(3.0, 2.0) for _ in range(draws + 1))
        room, _ = tolerance({"contexts": others}, base, 1, "ratio")
        hits += abs(new - math.fsum([base, *others]) / draws) <= room
    # Four standard errors of a share of 4000.
    assert hits / runs == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / runs))


def test_a_new_draw_lies_near_the_base_nine_times_in_ten() -> None:
    """What a run compares with is the base, one of the draws, not their mean."""
    random.seed(1)
    hits, runs = 0, 4000
    for _ in range(runs):
        base, *others, new = (random.gauss(0.0, 1.0) for _ in range(4))
        room, _ = tolerance({"contexts": others}, base, 1, "ratio")
        hits += abs(new - base) <= room
    assert hits / runs >= 0.90


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), VALUES, st.sampled_from(["threads", "batch"]))
def test_fixed_ways_count_twice_their_largest_deviation(
    base: float, values: list[float], kind: str
) -> None:
    largest = max(abs(v - base) for v in values)
    room, noise = tolerance({kind: values}, base, 50, "perplexity")
    assert room == max(2 * largest, 1e-6 * abs(base))
    assert noise == {kind: largest}


@pytest.mark.parametrize(
    ("unit", "base", "room"),
    [
        ("nats", -3.0, 1e-5),
        ("nats", 0.0, 1e-5),
        ("ratio", 2.0, 2e-6),
        ("perplexity", 70.0, 7e-5),
        ("correlation", -0.5, 5e-9),
        ("count", 4.0, 0.0),
    ],
)
def test_another_order_of_sums_is_always_allowed_for(unit: str, base: float, room: float) -> None:
    assert tolerance({"rounding": [base]}, base, 50, unit)[0] == pytest.approx(room)


@settings(deadline=None)
@given(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=1, max_size=4), st.integers(1, 200))
def test_more_kinds_of_noise_never_narrow_a_tolerance(
    base: float, values: list[float], n: int
) -> None:
    alone, _ = tolerance({"contexts": values}, base, n, "share")
    both, noise = tolerance({"contexts": values, "threads": values}, base, n, "share")
    assert both >= alone >= 0
    assert set(noise) == {"contexts", "threads"}


@pytest.mark.parametrize(
    ("n", "unit", "room"),
    [(10, "share", 0.1), (100, "share", 0.01), (9, "share", 0.0), (100, "count", 0.0)],
)
def test_one_item_of_a_share_may_fall_the_other_way(n: int, unit: str, room: float) -> None:
    assert tolerance({"threads": [0.5]}, 0.5, n, unit)[0] == room


def held(value: float, n: int, unit: str) -> dict[str, object]:
    return {"value": value, "n": n, "unit": unit}


def test_a_number_never_measured_twice_gets_the_least() -> None:
    observations = {
        "c.score": held(0.5, 64, "share"),
        "c.lost": held(0.25, 64, "share"),
        "c.won": held(0.0, 64, "share"),
        "c.retention": held(2 / 3, 64, "ratio"),
        "c.gold": held(-1.0, 64, "nats"),
        "p": held(math.inf, 64, "perplexity"),
        "r": held(0.25, 4, "share"),
        "q.retention": held(0.5, 64, "ratio"),
    }
    found = {name: least_tolerance(observations, name) for name in observations}
    assert found["c.score"] == 0.0157  # one of 64, rounded up
    assert found["c.retention"] == pytest.approx(1 / 48, rel=1e-2)  # 48 right before
    assert found["c.gold"] == 1e-5
    assert found["p"] == found["r"] == 0
    assert found["q.retention"] == pytest.approx(5e-7)  # nothing tells what its items were


@given(st.floats(0, 1), st.integers(10, 10**5))
def test_the_least_allows_for_one_item(value: float, n: int) -> None:
    room = least_tolerance({"s": held(value, n, "share")}, "s")
    assert 1 / n <= room <= 1.01 / n
