"""The plan's digest is the chain's identity: all that matters is in it, and names are not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from chains_ import FakeEditor, facts, model, plan_of

from editsuite.chains import Plan, requests_digest
from editsuite.errors import ChainError


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(FakeEditor(model()), n=6, batch_size=2)


@pytest.mark.parametrize(
    "other",
    [
        {"model": "0" * 64},
        {"dtype": "torch.bfloat16"},
        {"editor": "other"},
        {"version": 2},
        {"layers": (2,)},
        {"layers": (1, 2)},
        {"batch_size": 1},
        {"seed": 1},
        {"inputs": {"rank": 2}},
        {"inputs": {}},
        {"requests": facts(5)},
        {"requests": tuple(reversed(facts(6)))},
        {"requests": (replace(facts(6)[0], target_new="blue"), *facts(6)[1:])},
        {"requests": (replace(facts(6)[0], rephrase="Stone 0, what colour?"), *facts(6)[1:])},
    ],
    ids=lambda other: next(iter(other)),
)
def test_whatever_matters_changes_the_digest(plan: Plan, other: dict[str, Any]) -> None:
    assert replace(plan, **other).digest != plan.digest


@pytest.mark.parametrize(
    "other",
    [
        {"card": "a-nickname"},
        {"facts": "another name"},
        {"requests": tuple(replace(fact, id=f"row-{i}") for i, fact in enumerate(facts(6)))},
    ],
    ids=lambda other: next(iter(other)),
)
def test_names_do_not_change_the_digest(plan: Plan, other: dict[str, Any]) -> None:
    assert replace(plan, **other).digest == plan.digest


def test_the_order_of_inputs_does_not_matter(plan: Plan) -> None:
    forth = replace(plan, inputs={"a": 1, "b": [1, 2]})
    back = replace(plan, inputs={"b": [1, 2], "a": 1})
    assert forth.digest == back.digest


def test_the_summary_is_json(plan: Plan) -> None:
    assert json.loads(json.dumps(plan.summary()))["requests"] == 6


def test_batches_follow_one_another(plan: Plan) -> None:
    assert [request.id for i in (1, 2, 3) for request in plan.batch(i)] == [
        request.id for request in facts(6)
    ]


def test_counts_are_whole_batches_within_the_facts(plan: Plan) -> None:
    assert [plan.index_of(n) for n in (0, 2, 4, 6)] == [0, 1, 2, 3]
    for impossible, message in ((3, "batches of 2"), (8, "hold 6"), (-2, "hold 6")):
        with pytest.raises(ChainError, match=message):
            plan.index_of(impossible)


def test_requests_have_an_order() -> None:
    assert requests_digest(facts(3)) != requests_digest(tuple(reversed(facts(3))))
