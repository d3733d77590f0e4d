"""Flows of known patterns, and what is concluded from flows that are known."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from editsuite.errors import MeasureError
from editsuite.measures import Look, Observation, Saliency
from editsuite.measures.saliency import curves as curves_module
from editsuite.measures.saliency.curves import (
    Curves,
    likeness,
    likeness_limits,
    reach,
    shares_of,
)
from editsuite.measures.saliency.flows import FLOWS, Flows

#: The smallest prompt that shows all: label words at 2 and 4, the target position is 6.
TOKENS, PLACES = 7, (2, 4)


def pattern(entries: Mapping[tuple[int, int], float], tokens: int = TOKENS) -> Tensor:
    made = torch.zeros(tokens, tokens, dtype=torch.float64)
    for place, value in entries.items():
        made[place] = value
    return made


# --- one matrix --------------------------------------------------------------------------------


def test_a_hand_made_pattern_has_the_flows_that_were_put_in() -> None:
    flows = Flows.of(TOKENS, PLACES)
    # Into the label words: (2,0) (2,1) (4,0..3), 6 entries. From them: (6,2) (6,4). Other: 21 - 8.
    assert flows.means(pattern({(2, 0): 3.0, (4, 2): 9.0})) == (12 / 6, 0.0, 0.0)
    assert flows.means(pattern({(6, 2): 0.5, (6, 4): 0.25})) == (0.0, 0.75 / 2, 0.0)
    assert flows.means(pattern({(6, 3): 26.0, (3, 2): 13.0})) == (0.0, 0.0, 39 / 13)
    # A word may give to a later word: that goes to the later one's account, as equation 6 says.
    assert flows.means(pattern({(4, 2): 6.0})) == (1.0, 0.0, 0.0)


def test_an_even_pattern_has_equal_flows() -> None:
    means = Flows.of(TOKENS, PLACES).means(torch.ones(TOKENS, TOKENS, dtype=torch.float64))
    assert means == (1.0, 1.0, 1.0)


def test_the_diagonal_and_what_lies_behind_it_count_for_nothing() -> None:
    above = 100 * torch.ones(TOKENS, TOKENS, dtype=torch.float64).triu()
    assert Flows.of(TOKENS, PLACES).means(above) == (0.0, 0.0, 0.0)


PROMPTS = st.integers(4, 14).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.integers(1, n - 2), min_size=1, max_size=3, unique=True)
    )
)


@settings(max_examples=60)
@given(PROMPTS, st.integers(0, 2**32 - 1))
def test_flows_are_those_of_wang_et_al(prompt: tuple[int, list[int]], seed: int) -> None:
    """Their count: rows of the label words, the last row, and what is left of the whole."""
    tokens, places = prompt
    q = tokens - 1
    if (q + 1) * q / 2 == sum(places) + len(places):
        return  # then no entry is left for the third flow, and they would divide by 0
    saliency = np.tril(np.random.default_rng(seed).random((tokens, tokens)))
    ours = Flows.of(tokens, places).means(torch.from_numpy(saliency.copy()))
    np.fill_diagonal(saliency, 0)
    into, out = saliency[places, :].sum(), saliency[q, places].sum()
    rest = saliency.sum() - into - out
    left = (q + 1) * q / 2 - sum(places) - len(places)
    theirs = into / sum(places), out / len(places), rest / left
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@settings(max_examples=30)
@given(PROMPTS)
def test_every_earlier_token_belongs_to_one_flow(prompt: tuple[int, list[int]]) -> None:
    try:
        flows = Flows.of(*prompt)
    except MeasureError:
        return
    whole = torch.ones(prompt[0], prompt[0], dtype=torch.float64).tril(-1)
    assert torch.equal(flows.members.sum(dim=0), whole)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ((2, 2), "give each its own position"),
        ((6,), "before the last token"),
        ((-1,), "before the last token"),
        ((0,), "leave a flow without entries"),
        ((), "leave a flow without entries"),
    ],
)
def test_impossible_places_are_refused(places: tuple[int, ...], words: str) -> None:
    with pytest.raises(MeasureError, match=words):
        Flows.of(TOKENS, places)


# --- curves ------------------------------------------------------------------------------------


def flows_of(seed: int, items: int = 12, layers: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, size=(items, 3, layers))


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(1, 20), st.integers(1, 8))
def test_shares_sum_to_one_and_no_unit_matters(seed: int, items: int, layers: int) -> None:
    raw = flows_of(seed, items, layers)
    curves = Curves(raw)
    assert curves.shares.sum(axis=0) == pytest.approx(np.ones(layers), abs=1e-12)
    assert Curves(1e-30 * raw).shares == pytest.approx(curves.shares, rel=1e-12)
    assert Curves.of(raw, np.full(items, 0.25)).raw == pytest.approx(curves.raw / 4, rel=1e-12)
    assert curves.leverage.mean(axis=0) == pytest.approx(np.zeros((3, layers)), abs=1e-12)
    assert curves.leverage.sum(axis=1) == pytest.approx(np.zeros((items, layers)), abs=1e-12)


def test_the_mean_comes_before_the_share_as_in_table_14() -> None:
    """An item that the model is unsure of counts more: its gradient is larger."""
    raw = np.array([[[9.0], [1.0], [0.0]], [[0.0], [0.5], [0.5]]])
    assert Curves(raw).shares[:, 0] == pytest.approx([9 / 11, 1.5 / 11, 0.5 / 11])
    even = Curves.of(raw, [0.1, 1.0])
    assert even.shares[:, 0] == pytest.approx([0.45, 0.3, 0.25])


def test_leverage_is_what_leaving_an_item_out_shows() -> None:
    """The jackknife of a ratio and its linearisation agree but for terms of order 1/n."""
    raw = flows_of(3, items=400)
    curves = Curves(raw)
    n = len(raw)
    without = np.stack([Curves(np.delete(raw, i, axis=0)).shares for i in range(n)])
    jackknife = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    ours = curves.leverage.std(axis=0, ddof=1) / math.sqrt(n)
    assert ours == pytest.approx(jackknife, rel=0.02)


def test_reach_is_scipys_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=17)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    assert reach(values) == pytest.approx((high - low) / 2, rel=1e-12)
    assert reach(values[:1]) == math.inf


def test_likeness_is_pearsons_r_and_the_distance() -> None:
    old, new = Curves(flows_of(1)).shares, Curves(flows_of(2)).shares
    *r, moved = likeness(old, new)
    assert r == pytest.approx([np.corrcoef(a, b)[0, 1] for a, b in zip(old, new, strict=True)])
    by_hand = [max(a - b for a, b in _subsets(old[:, k], new[:, k])) for k in range(6)]
    assert moved == pytest.approx(np.mean(by_hand))
    assert likeness(old, old) == pytest.approx([1.0, 1.0, 1.0, 0.0])


def _subsets(old: np.ndarray, new: np.ndarray) -> list[tuple[float, float]]:
    """Total variation by its definition: the most that any set of flows gains."""
    sets = [[i for i in range(3) if bits >> i & 1] for bits in range(8)]
    return [(float(new[s].sum()), float(old[s].sum())) for s in sets]


def test_limits_are_those_of_drawn_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bootstrap is the mean under multinomial weights, the same ones in both states."""
    old, new = Curves(flows_of(5, 30)), Curves(flows_of(5, 30) + 0.3 * flows_of(6, 30))
    monkeypatch.setattr(curves_module, "DRAWS", 20_000)
    monkeypatch.setattr(curves_module, "AT_ONCE", 1000)
    low, high = likeness_limits(old, new)
    weights = np.random.default_rng(7).multinomial(30, np.full(30, 1 / 30), size=20_000)
    drawn = (Curves(np.tensordot(weights, c.flows, axes=1)) for c in (old, new))
    found = likeness(*(shares_of(curves.flows) for curves in drawn))
    expected = np.percentile(found, [2.5, 97.5], axis=1)
    spread = found.std(axis=1)
    assert (np.abs(low - expected[0]) < 0.15 * spread).all()
    assert (np.abs(high - expected[1]) < 0.15 * spread).all()
    assert (low < high).all()


def test_limits_are_the_same_each_time() -> None:
    old, new = Curves(flows_of(5)), Curves(flows_of(6))
    once, again = likeness_limits(old, new), likeness_limits(old, new)
    assert np.array_equal(once, again)


# --- conclusions -------------------------------------------------------------------------------


def seen(flows: np.ndarray, scales: float = 1.0, **said: list[int]) -> dict[str, Any]:
    n = len(flows)
    answers = {"right": [0] * n, "chosen": [0] * n, "first": [0] * n, **said}
    return {"flows": flows.tolist(), "scales": [scales] * n, **answers}


def observed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Observation]:
    looks = {Look(0): before, Look(9): after}
    kept = {look: json.loads(json.dumps(held)) for look, held in looks.items()}
    return {o.name: o for o in Saliency(()).observe(9, kept)}


def test_conclusions_of_known_flows() -> None:
    """Six layers; text flows to words in the first, words to the target in the last."""
    early, late = [0.7, 0.2, 0.1], [0.1, 0.8, 0.1]
    columns = np.array([early, early, early, late, late, late]).T
    before = seen(np.stack([columns] * 5), 0.5)
    after = seen(
        np.stack([columns[:, ::-1]] * 5), 1.5, chosen=[0, 0, 1, 1, 1], first=[0, -1, -1, -1, 1]
    )
    found = observed(before, after)
    kept = observed(before, before)
    value = {name: pytest.approx(o.value) for name, o in found.items()}
    assert [kept[f"saliency.s_wp.{d}"].value for d in ("shallow", "middle", "deep")] == (
        pytest.approx([0.7, 0.4, 0.1])
    )
    assert value["saliency.s_wp.shallow"] == 0.1
    assert value["saliency.s_pq.shallow"] == 0.8
    assert value["saliency.s_pq_change.shallow"] == 0.6
    assert value["saliency.s_wp_change.deep"] == 0.6
    assert value["saliency.strength.s_wp"] == 3.0
    assert value["saliency.pattern.s_wp"] == -1.0
    assert value["saliency.moved"] == 0.6
    assert kept["saliency.pattern.s_wp"].value == pytest.approx(1.0)
    assert kept["saliency.moved"].value == 0.0
    assert value["saliency.accuracy"] == 0.4
    assert value["saliency.first_token.valid"] == 0.4
    assert value["saliency.first_token.accuracy"] == 0.2
    assert value["saliency_by_layer.s_pq.L00"] == 0.8
    assert value["saliency_by_layer.raw.s_pq.L00"] == 1.2


def test_in_every_layer_and_depth_the_shares_sum_to_one() -> None:
    found = observed(seen(flows_of(1)), seen(flows_of(2)))
    places = {name.rpartition(".")[2] for name in found if name.startswith("saliency.s_wp.")}
    assert places == {"shallow", "middle", "deep"}
    for place in places:
        assert math.fsum(found[f"saliency.{f}.{place}"].value for f in FLOWS) == pytest.approx(1)
    for layer in range(6):
        names = [f"saliency_by_layer.{flow}.L{layer:02d}" for flow in FLOWS]
        assert math.fsum(found[name].value for name in names) == pytest.approx(1)


def test_what_is_held_against_baselines_stays_below_thirty() -> None:
    found = observed(seen(flows_of(1, layers=30)), seen(flows_of(2, layers=30)))
    assert 20 < sum(name.startswith("saliency.") for name in found) < 30
    assert sum(name.startswith("saliency_by_layer.") for name in found) == 30 * 3 * 2


def test_every_value_lies_in_its_interval_and_no_interval_leaves_its_range() -> None:
    for o in observed(seen(flows_of(1)), seen(flows_of(2))).values():
        assert o.low <= o.value <= o.high, o.name
        if o.unit in ("share", "flow") and "_change." not in o.name:
            assert 0 <= o.low <= o.high <= 1, o.name


def test_an_interval_covers_what_it_should() -> None:
    """Shares and changes of drawn items against those of the population they are drawn from."""
    random, n, rounds = np.random.default_rng(0), 24, 400
    base = random.gamma(2.0, size=(3, 3))
    covered = dict.fromkeys(("saliency.s_wp.deep", "saliency.s_pq_change.shallow"), 0)
    big = base * random.gamma(3.0, size=(200_000, 1, 1)) * random.lognormal(0, 0.3, (200_000, 3, 3))
    moved = big * random.lognormal(0.1, 0.2, size=big.shape)
    old, new = Curves(big).shares, Curves(moved).shares
    truth = {
        "saliency.s_wp.deep": new[0, 2],
        "saliency.s_pq_change.shallow": new[1, 0] - old[1, 0],
    }
    for _ in range(rounds):
        drawn = random.integers(0, len(big), n)
        a, b = Curves(big[drawn]), Curves(moved[drawn])
        near = {
            "saliency.s_wp.deep": (b.shares[0, 2], reach(b.leverage[:, 0, 2])),
            "saliency.s_pq_change.shallow": (
                b.shares[1, 0] - a.shares[1, 0],
                reach(b.leverage[:, 1, 0] - a.leverage[:, 1, 0]),
            ),
        }
        for name, (value, far) in near.items():
            covered[name] += abs(value - truth[name]) <= far
    for name, hits in covered.items():
        assert 0.91 <= hits / rounds <= 0.98, name


def test_a_broken_model_gives_no_number() -> None:
    broken = flows_of(2)
    broken[3] = math.nan
    found = observed(seen(flows_of(1)), seen(broken))
    numbers = [name for name in found if ".s_" in name or name == "saliency.moved"]
    assert len(numbers) > 20
    assert all(math.isnan(found[name].value) for name in numbers)


def test_a_single_item_leaves_everything_open() -> None:
    found = observed(seen(flows_of(1, items=1)), seen(flows_of(2, items=1)))
    assert (found["saliency.s_wp.deep"].low, found["saliency.s_wp.deep"].high) == (0.0, 1.0)
    pattern = found["saliency.pattern.s_wp"]
    assert (pattern.low, pattern.high) == (-1.0, 1.0)
    assert found["saliency.strength.s_wp"].high == math.inf
