"""Correlation, drift and norms by blocks, against numpy on the whole; and from factors alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from editsuite.measures.moments import Moments, moments, together
from editsuite.measures.trajectory import trajectory

pytestmark = pytest.mark.usefixtures("one_thread")

SEEDS = st.integers(0, 2**31)


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(seed: int, far: float = 0.5, shape: tuple[int, int] = (7, 11)) -> tuple[Tensor, Tensor]:
    """A float32 matrix and a moved one."""
    source = random(seed)
    before = torch.randn(shape, generator=source)
    return before, before + far * torch.randn(shape, generator=source)


def naive(before: Tensor, after: Tensor) -> tuple[float, float, float]:
    """Correlation, drift and norm ratio of whole float64 copies."""
    w, v = before.double().flatten(), after.double().flatten()
    r = float(torch.corrcoef(torch.stack([w, v]))[0, 1])
    return r, float((v - w).norm() / w.norm()), float(v.norm() / w.norm())


def numbers(held: Moments) -> tuple[float, float, float]:
    return held.correlation, held.drift, held.norm_ratio


def edits(seed: int, ranks: list[int]) -> list[tuple[Tensor, Tensor]]:
    """Factors of edits of a matrix as ``pair`` makes it."""
    source = random(seed)
    return [
        (0.4 * torch.randn(7, r, generator=source), torch.randn(11, r, generator=source))
        for r in ranks
    ]


# --- by blocks ---------------------------------------------------------------------------------


@given(SEEDS, st.sampled_from([1e-6, 1e-3, 0.5, 30.0]), st.floats(-50, 50))
def test_blocks_are_the_naive_way(seed: int, far: float, offset: float) -> None:
    before, after = (side + offset for side in pair(seed, far))
    assert numbers(moments(before, after)) == pytest.approx(
        naive(before, after), rel=1e-9, abs=1e-12
    )


def test_an_offset_much_larger_than_the_spread_does_not_cancel() -> None:
    before = 1e8 + torch.randn(40, 30, generator=random(1), dtype=torch.float64)
    after = before + torch.randn(40, 30, generator=random(2), dtype=torch.float64)
    expected = np.corrcoef(before.numpy().ravel(), after.numpy().ravel())[0, 1]
    assert moments(before, after).correlation == pytest.approx(float(expected), rel=1e-7)


@given(SEEDS, st.integers(1, 200))
def test_the_size_of_a_block_does_not_matter(seed: int, block: int) -> None:
    before, after = pair(seed)
    whole = moments(before, after)
    assert numbers(moments(before, after, block)) == pytest.approx(numbers(whole), rel=1e-13)


@given(SEEDS, st.floats(1e-3, 1e3))
def test_scaling_both_changes_nothing(seed: int, scale: float) -> None:
    before, after = (side.double() for side in pair(seed))
    assert numbers(moments(scale * before, scale * after)) == pytest.approx(
        numbers(moments(before, after)), rel=1e-12
    )


@given(SEEDS, st.floats(-9, 9))
def test_what_has_not_moved_is_itself_exactly(seed: int, offset: float) -> None:
    before = pair(seed)[0] + offset
    assert numbers(moments(before, before.clone())) == (1.0, 0.0, 1.0)


@given(SEEDS)
def test_correlation_is_symmetric_and_within_its_bounds(seed: int) -> None:
    before, after = pair(seed)
    found = moments(before, after).correlation
    assert found == pytest.approx(moments(after, before).correlation, rel=1e-14)
    assert -1 <= found <= 1
    assert moments(before, -before).correlation == -1.0
    assert moments(before, 3 * before.double() + 1).correlation <= 1.0


@given(SEEDS, st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_several_matrices_are_one_long_vector(seed: int, rows: list[int]) -> None:
    pairs = [pair(seed + i, shape=(r, 6)) for i, r in enumerate(rows)]
    pairs = [(a + 3 * i, b - i) for i, (a, b) in enumerate(pairs)]
    before, after = (torch.cat(sides) for sides in zip(*pairs, strict=True))
    found = together([moments(a, b) for a, b in pairs])
    assert numbers(found) == pytest.approx(numbers(moments(before, after)), rel=1e-10)
    assert found.n == before.numel()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_is_read_exactly(dtype: torch.dtype) -> None:
    before, after = (side.to(dtype) for side in pair(5))
    assert numbers(moments(before, after)) == pytest.approx(naive(before, after), rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_told_and_not_hidden(bad: float) -> None:
    before, after = pair(6)
    after[3, 2] = bad
    broken = moments(before, after)
    assert math.isnan(broken.correlation)
    for found in (broken.drift, broken.norm_ratio):
        assert not math.isfinite(found)
    both = together([broken, moments(*pair(7))])
    assert math.isnan(both.correlation)
    assert not math.isfinite(both.drift)


def test_constants_and_zeros_have_no_correlation() -> None:
    before, after = pair(8)
    assert math.isnan(moments(torch.ones(7, 11), after).correlation)
    assert math.isnan(moments(before, torch.ones(7, 11)).correlation)
    zero = torch.zeros(7, 11)
    assert moments(zero, after).drift == math.inf
    assert math.isnan(moments(zero, zero).drift)
    assert moments(before, zero).norm_ratio == 0.0


def test_numbers_whose_squares_overflow_end_in_no_error() -> None:
    huge = torch.full((2, 2), 1e300, dtype=torch.float64)
    huge[0, 0] = -1e300
    assert math.isnan(moments(huge, huge).correlation)
    assert math.isnan(together([moments(huge, huge)] * 2).correlation)


# --- from factors ------------------------------------------------------------------------------


@given(SEEDS, st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_the_trajectory_is_that_of_the_sums(seed: int, ranks: list[int]) -> None:
    original = pair(seed)[0] + 0.3
    factors = edits(seed + 1, ranks)
    state, found = original.double(), trajectory(original, factors)
    assert len(found) == len(ranks)
    for (left, right), held in zip(factors, found, strict=True):
        state = state + left.double() @ right.double().T
        assert numbers(held) == pytest.approx(naive(original, state), rel=1e-9, abs=1e-12)
        assert numbers(held) == pytest.approx(numbers(moments(original, state)), rel=1e-9)


def test_the_order_of_edits_does_not_matter_for_the_last_state() -> None:
    original, factors = pair(11)[0], edits(12, [1, 2, 1, 3])
    last = [numbers(trajectory(original, p)[-1]) for p in itertools.permutations(factors)]
    for found in last:
        assert found == pytest.approx(last[0], rel=1e-11)


def test_edits_without_columns_move_nothing() -> None:
    original = pair(13)[0]
    for held in trajectory(original, edits(13, [0, 0])):
        assert numbers(held) == (1.0, 0.0, 1.0)
    assert trajectory(original, []) == ()


def test_an_edit_that_is_taken_back_leaves_what_rounding_leaves() -> None:
    original = pair(14)[0]
    ((left, right),) = edits(14, [2])
    there, back = trajectory(original, [(left, right), (-left, right)])
    assert back.drift <= 1e-7 * there.drift
    assert back.correlation == pytest.approx(1, abs=1e-12)


def test_a_factor_that_is_no_number_is_told() -> None:
    original, factors = pair(15)[0], edits(15, [1, 1, 1])
    factors[1][0][2] = math.nan
    first, second, third = trajectory(original, factors)
    assert math.isfinite(first.correlation)
    for held in (second, third):
        assert math.isnan(held.correlation)
        assert math.isnan(held.drift)
