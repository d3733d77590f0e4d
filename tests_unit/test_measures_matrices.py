"""Spectra of edited matrices, by blocks and from factors, against the whole matrix's own."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chains_ import FakeEditor, chain_of, model
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from editsuite.cards.families import FAMILIES
from editsuite.chains import ModelState
from editsuite.editors import Dense, LowRank, Update
from editsuite.engine import DecoderStack
from editsuite.measures import Look, Matrices, View
from editsuite.measures.matrices import change_norm
from editsuite.measures.protocol import Factors
from editsuite.measures.spectrum import (
    change_rows,
    condition,
    rows_of,
    singular_values,
    spectral_norm_of,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SEEDS = st.integers(0, 2**31)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 14))


@dataclass(frozen=True)
class Moved:
    original: Tensor
    current: Tensor
    factors: tuple[Factors, ...] | None = None


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def svd(matrix: Tensor) -> np.ndarray[Any, Any]:
    return np.linalg.svd(matrix.double().numpy(), compute_uv=False)


def look_of(view: View) -> dict[str, float]:
    measure = Matrices()
    (look,) = measure.looks(1)
    seen = json.loads(json.dumps(measure.look(view)))  # as the store gives it back
    return {o.name: o.value for o in measure.observe(1, {look: seen})}


def observe(**weights: Moved) -> dict[str, float]:
    return look_of(View(DecoderStack(model()), (), weights))


# --- singular values ---------------------------------------------------------------------------


@given(SEEDS, SHAPES, st.integers(1, 20))
def test_singular_values_by_blocks_are_those_of_the_whole(
    seed: int, shape: tuple[int, int], rows: int
) -> None:
    matrix = normal(seed, *shape)
    for found in (singular_values(rows_of(matrix, rows)), singular_values(rows_of(matrix))):
        np.testing.assert_allclose(found.numpy(), svd(matrix), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("exponent", [2, 6, 10, 13])
def test_small_singular_values_keep_their_digits(exponent: int) -> None:
    """A sum of squares would lose all of a condition number beyond 1e8."""
    u = torch.linalg.qr(normal(1, 40, 6).double()).Q
    v = torch.linalg.qr(normal(2, 6, 6).double()).Q
    wanted = torch.logspace(0, -exponent, 6, dtype=torch.float64)
    matrix = u @ torch.diag(wanted) @ v.T
    found = condition(singular_values(rows_of(matrix, 7)), matrix.shape)
    # The least one is known to eps times the largest, so the ratio to eps times itself.
    assert found == pytest.approx(10.0**exponent, rel=1e-14 * 10.0**exponent + 1e-12)
    assert condition(singular_values(rows_of(matrix.T, 7)), matrix.shape) == pytest.approx(
        found, rel=1e-14 * 10.0**exponent + 1e-12
    )


@given(SEEDS, SHAPES, st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_the_factors_way_is_that_of_their_sum(
    seed: int, shape: tuple[int, int], ranks: list[int]
) -> None:
    factors = [
        (normal(seed + i, shape[0], r), normal(seed - i - 1, shape[1], r))
        for i, r in enumerate(ranks, start=1)
    ]
    total = sum((a.double() @ b.double().T for a, b in factors), torch.zeros(shape).double())
    found = spectral_norm_of(factors)
    assert found == pytest.approx(float(svd(total)[0]), rel=1e-11, abs=1e-13)
    assert spectral_norm_of(factors[::-1]) == pytest.approx(found, rel=1e-11, abs=1e-13)


@given(SEEDS, st.floats(1e-6, 1e6))
def test_the_spectral_norm_scales_and_a_rank_one_edit_has_its_closed_form(
    seed: int, scale: float
) -> None:
    u, v = normal(seed, 5, 1).double(), normal(seed + 1, 8, 1).double()
    assert spectral_norm_of([(scale * u, v)]) == pytest.approx(
        scale * float(u.norm() * v.norm()), rel=1e-12
    )


def test_edits_that_take_each_other_back_leave_rounding_only() -> None:
    u, v = normal(3, 5, 2), normal(4, 8, 2)
    assert spectral_norm_of([(u, v), (-u, v)]) <= 1e-13 * spectral_norm_of([(u, v)])
    assert spectral_norm_of([]) == 0.0


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (torch.diag(torch.tensor([4.0, 2.0, 0.5])), 8.0),
        (torch.eye(3), 1.0),
        (torch.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]), math.inf),
        (torch.zeros(3, 2), math.inf),
        (torch.tensor([[1.0, 0.0], [math.nan, 1.0]]), math.nan),
        (torch.tensor([[1.0, 0.0], [math.inf, 1.0]]), math.nan),
    ],
)
def test_condition_numbers_that_are_known(matrix: Tensor, expected: float) -> None:
    found = condition(singular_values(rows_of(matrix)), matrix.shape)
    assert found == pytest.approx(expected, rel=1e-14, nan_ok=True)


@given(SEEDS, st.integers(2, 6))
def test_singular_is_what_numpy_calls_rank_deficient(seed: int, rank: int) -> None:
    matrix = normal(seed, 9, rank).double() @ normal(seed + 1, rank, 5).double()
    found = condition(singular_values(rows_of(matrix, 4)), matrix.shape)
    assert math.isinf(found) == (np.linalg.matrix_rank(matrix.numpy()) < 5)


# --- the measure -------------------------------------------------------------------------------


def test_the_numbers_are_those_of_whole_matrices() -> None:
    a, b = normal(5, 6, 9), normal(6, 7, 4)
    u, v = normal(7, 6, 2), normal(8, 9, 2)
    moved = a + u @ v.T
    found = observe(a=Moved(a, moved, ((u, v),)), b=Moved(b, 2 * b))
    parts = [(svd(a), svd(moved), svd(moved - a)), (svd(b), svd(2 * b), svd(b))]
    norm = math.hypot(float(moved.double().norm()), float((2 * b).double().norm()))
    assert found == pytest.approx(
        {
            "parameters.spectral_change": max(d[0] for _, _, d in parts),
            "parameters.spectral_ratio": max(d[0] / w[0] for w, _, d in parts),
            "parameters.condition_number": max(n[0] / n[-1] for _, n, _ in parts),
            "parameters.condition_ratio": max((n[0] / n[-1]) / (w[0] / w[-1]) for w, n, _ in parts),
            "parameters.weight_norm": norm,
        },
        rel=1e-6,
    )


def test_dense_changes_and_low_precision_go_by_the_difference() -> None:
    a = normal(9, 6, 9)
    moved = a + 0.1 * normal(10, 6, 9)
    dense = Moved(a, moved)
    assert change_norm(dense) == pytest.approx(float(svd(moved - a)[0]), rel=1e-6)
    u, v = normal(11, 6, 1), normal(12, 9, 1)
    low = Moved(a.bfloat16(), (a.bfloat16().float() + u @ v.T).bfloat16(), ((u, v),))
    exact = svd(low.current.double() - low.original.double())[0]
    assert change_norm(low) == pytest.approx(float(exact), rel=1e-12)
    blocks = singular_values(change_rows(a, moved, 2))
    np.testing.assert_allclose(blocks.numpy(), svd(moved.double() - a.double()), rtol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_broken_weight_is_told_and_crashes_nothing(bad: float) -> None:
    a = normal(13, 6, 9)
    moved = a.clone()
    moved[2, 3] = bad
    u, v = normal(14, 6, 1), normal(15, 9, 1)
    for weight in (Moved(a, moved), Moved(a, moved, ((u, v),))):
        found = observe(a=weight, b=Moved(a, a))
        assert math.isnan(found["parameters.spectral_change"])
        assert math.isnan(found["parameters.condition_ratio"])
        assert not math.isfinite(found["parameters.weight_norm"])


def test_a_matrix_that_became_singular_is_told_and_one_that_was_is_left_out() -> None:
    a = normal(16, 6, 9)
    flat = a.clone()
    flat[0] = flat[1]
    assert observe(a=Moved(a, flat))["parameters.condition_ratio"] == math.inf
    assert observe(a=Moved(a, flat))["parameters.condition_number"] == math.inf
    born = observe(a=Moved(flat, a))
    assert not {"parameters.condition_ratio", "parameters.condition_number"} & {*born}
    both = observe(a=Moved(flat, a), b=Moved(a, a))
    assert both["parameters.condition_ratio"] == 1.0


def test_nothing_edited_is_exactly_nothing() -> None:
    a = normal(17, 6, 9)
    for weight in (Moved(a, a, ()), Moved(a, a.clone()), Moved(a, a.clone(), ())):
        found = observe(a=weight)
        assert found["parameters.spectral_change"] == found["parameters.spectral_ratio"] == 0
        assert found["parameters.condition_ratio"] == 1


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_layers_stand_apart_where_there_are_several(architecture: str, tmp_path: Path) -> None:
    editor = FakeEditor(model(architecture), layers=(0, 2), rank=2)
    chain = chain_of(editor, tmp_path)
    chain.ensure(3)
    chain.go(3)
    found = look_of(View(chain._stack, (), chain.weights()))
    names = ("correlation", "relative_drift", "norm_ratio", "spectral_change", "spectral_ratio")
    for layer in (0, 2):
        weight = chain.weights()[editor.loaded.down_proj_name(layer)]
        before, after = weight.original.double(), weight.current.detach().double()
        r = np.corrcoef(before.numpy().ravel(), after.numpy().ravel())[0, 1]
        drift, spectral = float((after - before).norm() / before.norm()), svd(after - before)[0]
        expected = (r, drift, after.norm() / before.norm(), spectral, spectral / svd(before)[0])
        values = [found[f"parameters.{name}.L{layer:02}"] for name in names]
        assert values == pytest.approx([float(e) for e in expected], rel=1e-5)
    assert found["parameters.spectral_change"] == max(
        found[f"parameters.spectral_change.L{layer:02}"] for layer in (0, 2)
    )
    assert "parameters.correlation" not in found  # that is the other measure's
    chain.go(0)


def test_one_edited_layer_has_no_rows_of_its_own(tmp_path: Path) -> None:
    chain = chain_of(FakeEditor(model()), tmp_path)
    chain.ensure(1)
    chain.go(1)
    found = look_of(View(chain._stack, (), chain.weights()))
    assert len(found) == 5
    assert not any(".L" in name for name in found)
    chain.go(0)


# --- the factors that a state hands on ---------------------------------------------------------


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_a_states_factors_are_its_change(architecture: str, tmp_path: Path) -> None:
    """In the weight's own layout, whichever way the state was reached."""
    chain = chain_of(FakeEditor(model(architecture), layers=(1, 2), rank=2), tmp_path)
    chain.ensure(4)
    for index in (4, 1, 3, 0):
        chain.go(index)
        for weight in chain.weights().values():
            assert weight.factors is not None
            assert len(weight.factors) == index
            change = sum((a @ b.T for a, b in weight.factors), torch.zeros_like(weight.original))
            torch.testing.assert_close(weight.current - weight.original, change)
            fast, slow = change_norm(weight), change_norm(Moved(weight.original, weight.current))
            assert fast == pytest.approx(slow, rel=1e-5)


def test_a_state_keeps_factors_while_they_are_less_than_the_matrix() -> None:
    loaded = model()
    name, shape = loaded.down_proj_name(1), loaded.down_proj_weight(1).shape
    state = ModelState(loaded, [name])
    most = shape.numel() // sum(shape)
    step = Update({name: LowRank(torch.ones(shape[0], 1), torch.ones(shape[1], 1))}, {})
    for _ in range(most):
        state.apply(step)
    held = state.weights()[name].factors
    assert held is not None
    assert len(held) == most
    state.apply(step)
    assert state.weights()[name].factors is None
    state.reset()
    assert state.weights()[name].factors == ()


def test_an_edit_of_other_weights_counts_as_one_without_columns() -> None:
    loaded = model()
    one, two = (loaded.down_proj_name(layer) for layer in (1, 2))
    state = ModelState(loaded, [one, two])
    change = LowRank(torch.ones(32, 1), torch.ones(128, 1))
    for names in ([one], [two], [one, two]):
        state.apply(Update(dict.fromkeys(names, change), {}))
    ranks = {n: [a.shape[1] for a, _ in w.factors or ()] for n, w in state.weights().items()}
    assert ranks == {one: [1, 0, 1], two: [0, 1, 1]}
    state.reset()


def test_a_dense_change_has_no_factors() -> None:
    loaded = model()
    name, weight = loaded.down_proj_name(1), loaded.down_proj_weight(1)
    state = ModelState(loaded, [name])
    state.apply(Update({name: Dense(torch.full(weight.shape, 0.1))}, {}))
    assert state.weights()[name].factors is None
    expected = 0.1 * math.sqrt(weight.numel())  # all entries alike: of rank one
    assert change_norm(state.weights()[name]) == pytest.approx(expected, rel=1e-5)
    state.apply(Update({name: LowRank(torch.ones(32, 1), torch.ones(128, 1))}, {}))
    assert state.weights()[name].factors is None
    state.reset()


def test_one_look_at_the_state_is_all_it_takes() -> None:
    assert list(Matrices().looks(7)) == [Look(7)]
