"""Scores of a batch are those of each item alone, whatever the order and the budget."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.cards import FAMILIES, tiny_model
from editsuite.engine import Continuation, DecoderStack, Scored, batches, score

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)


@cache
def stack_of(architecture: str) -> DecoderStack:
    return DecoderStack(tiny_model(architecture, 3))


@torch.no_grad()
def plain_score(stack: DecoderStack, item: Continuation) -> Scored:
    model: Any = stack.loaded.model
    logits = model(input_ids=torch.tensor([item.context + item.target])).logits[0].float()
    log_probs = torch.log_softmax(logits[len(item.context) - 1 : -1], dim=-1)
    picked = [float(row[token]) for row, token in zip(log_probs, item.target, strict=True)]
    return Scored(tuple(picked), tuple(log_probs.argmax(dim=-1).tolist()))


def assert_same(ours: list[Scored], plain: list[Scored]) -> None:
    for a, b in zip(ours, plain, strict=True):
        assert a.log_probs == pytest.approx(b.log_probs, abs=1e-5)
        assert a.predicted == b.predicted


TOKENS = st.lists(st.integers(0, 255), min_size=1, max_size=9).map(tuple)
ITEMS = st.lists(st.builds(Continuation, TOKENS, TOKENS), min_size=1, max_size=6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_those_of_transformers_one_by_one(architecture: str) -> None:
    stack = stack_of(architecture)
    items = [
        Continuation((72, 105), (33,)),
        Continuation(tuple(range(30, 52)), (65, 66, 67)),
        Continuation((9,), tuple(range(90, 99))),
    ]
    assert_same(score(stack, items), [plain_score(stack, item) for item in items])


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(ARCHITECTURES), ITEMS, st.integers(1, 80), st.randoms())
def test_order_and_budget_change_nothing(
    architecture: str, items: list[Continuation], budget: int, random: Any
) -> None:
    stack = stack_of(architecture)
    plain = [plain_score(stack, item) for item in items]
    assert_same(score(stack, items, token_budget=budget), plain)
    order = list(range(len(items)))
    random.shuffle(order)
    shuffled = score(stack, [items[i] for i in order])
    assert_same(shuffled, [plain[i] for i in order])


def test_nothing_to_score_gives_nothing() -> None:
    assert score(stack_of("llama"), []) == []


def test_a_continuation_without_context_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Continuation((), (1,))


def test_weights_that_are_not_numbers_give_scores_that_are_not_numbers() -> None:
    loaded = tiny_model("llama", 4)
    loaded.down_proj_weight(1).data[0, 0] = torch.nan
    (scored,) = score(DecoderStack(loaded), [Continuation((1, 2), (3, 4))])
    assert all(value != value for value in scored.log_probs)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 120))
def test_batches_split_the_items_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = list(batches(lengths, budget))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        width = max(lengths[index] for index in group)
        assert len(group) == 1 or width * len(group) <= budget
    assert groups == list(batches(lengths, budget))
