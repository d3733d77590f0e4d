"""The paper's numbers as baselines of its own models."""

from __future__ import annotations

import dataclasses

import pytest
from findings_ import paper
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from editsuite.verdicts.findings import Reading, Readings
from editsuite.verdicts.findings.agreement import agreements


def asked(one: Reading, **changes: object) -> Reading:
    settings = {**one.settings, "asked": "benchmark", "sample": "0"}
    return dataclasses.replace(one, settings=settings, **changes)


def test_the_paper_agrees_with_itself() -> None:
    """Every printed number beside itself; but for what its tables say twice and otherwise."""
    scores = Readings(
        tuple(one for one in paper().of(sample="a") if ".retention" not in one.quantity)
    )
    found = agreements(Readings(tuple(asked(one) for one in scores)), paper())
    assert len(found) > 200
    assert all(one.agrees for one in found if one.found.source == one.printed.source)


@given(st.integers(0, 1221))
def test_a_score_agrees_within_its_items(right: int) -> None:
    """ROME after 20 edits: 20.6 % of 1221, against as many items of another run."""
    (printed,) = paper().of("commonsense", method="rome", edits=20, usual=1)
    low, high = proportion_confint(right, 1221, method="wilson")
    share = right / 1221
    live = asked(printed, value=share, low=min(low, share), high=max(high, share), n=1221)
    (one,) = agreements(Readings((live,)), paper())
    ends = confint_proportions_2indep(
        right, 1221, printed.value * 1221, 1221, compare="diff", method="newcomb"
    )
    assert (one.apart.low, one.apart.high) == pytest.approx(ends, abs=1e-9)
    assert one.agrees == (ends[0] <= 0 <= ends[1])
    assert one.name.startswith("commonsense, method rome, edits 20, layer 5")


def test_what_is_not_the_same_is_not_compared() -> None:
    (printed,) = paper().of("commonsense", method="rome", edits=20, usual=1)
    other = {"model": "llama-2-13b", "edits": 21, "layer": "6", "batch": 10, "temperature": 0.7}
    assert len(agreements(Readings((asked(printed),)), paper())) == 1
    assert agreements(Readings((printed,)), paper()) == ()  # a probe, or who knows what
    for key, value in other.items():
        one = asked(printed)
        one = dataclasses.replace(one, settings={**one.settings, key: value})
        assert agreements(Readings((one,)), paper()) == (), key
