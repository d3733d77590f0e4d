"""Generation of a batch is that of each prompt alone; draws belong to the item."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.cards import FAMILIES, tiny_model
from editsuite.engine import Continuation, DecoderStack, generate, score

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)
PROMPTS = [tuple(b"The cat"), tuple(b"A"), tuple(b"Once upon a time there was"), tuple(b"xyz")]


@cache
def stack_of(architecture: str) -> DecoderStack:
    return DecoderStack(tiny_model(architecture, 5))


def plain_greedy(stack: DecoderStack, prompt: tuple[int, ...], n: int) -> tuple[int, ...]:
    model: Any = stack.loaded.model
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=n,
        min_new_tokens=n,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=257,
    )
    return tuple(out[0, len(prompt) :].tolist())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_is_transformers_generate_prompt_by_prompt(architecture: str) -> None:
    stack = stack_of(architecture)
    ours = generate(stack, PROMPTS, max_new_tokens=8)
    assert ours == [plain_greedy(stack, prompt, 8) for prompt in PROMPTS]


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(ARCHITECTURES),
    st.lists(
        st.lists(st.integers(0, 255), min_size=1, max_size=9).map(tuple), min_size=1, max_size=5
    ),
    st.integers(1, 60),
)
def test_greedy_does_not_depend_on_the_batch(
    architecture: str, prompts: list[tuple[int, ...]], budget: int
) -> None:
    stack = stack_of(architecture)
    alone = [generate(stack, [prompt], max_new_tokens=4)[0] for prompt in prompts]
    assert generate(stack, prompts, max_new_tokens=4, token_budget=budget) == alone


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_tokens_are_the_ones_teacher_forcing_ranks_first(architecture: str) -> None:
    stack = stack_of(architecture)
    for prompt, new in zip(PROMPTS, generate(stack, PROMPTS, max_new_tokens=6), strict=True):
        (scored,) = score(stack, [Continuation(prompt, new)])
        assert scored.predicted == new


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_stop_token_ends_its_own_row_only(architecture: str) -> None:
    stack = stack_of(architecture)
    free = generate(stack, PROMPTS, max_new_tokens=8)
    stop = free[0][2]
    cut = [row[: row.index(stop)] if stop in row else row for row in free]
    assert len(cut[0]) <= 2
    assert any(len(row) == 8 for row in cut), "the stop token ends every row: nothing is shown"
    assert generate(stack, PROMPTS, max_new_tokens=8, stop_ids=[stop]) == cut


def test_no_prompts_and_no_tokens() -> None:
    stack = stack_of("llama")
    assert generate(stack, [], max_new_tokens=5) == []
    assert generate(stack, PROMPTS[:2], max_new_tokens=0) == [(), ()]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_draws_depend_on_the_items_seed_alone(architecture: str) -> None:
    stack, seeds = stack_of(architecture), [11, 12, 13, 14]

    def draw(order: list[int], budget: int) -> dict[int, tuple[int, ...]]:
        new = generate(
            stack,
            [PROMPTS[i] for i in order],
            max_new_tokens=6,
            temperature=1.0,
            seeds=[seeds[i] for i in order],
            token_budget=budget,
        )
        return dict(zip(order, new, strict=True))

    together = draw([0, 1, 2, 3], 2048)
    torch.manual_seed(99)  # the global generator must play no part
    assert draw([3, 1, 0, 2], 2048) == together
    assert draw([0, 1, 2, 3], 1) == together


def test_another_seed_draws_other_tokens() -> None:
    stack = stack_of("llama")
    drawn = {
        generate(stack, PROMPTS[:1], max_new_tokens=8, temperature=1.0, seeds=[seed])[0]
        for seed in range(5)
    }
    assert len(drawn) == 5


def test_top_one_is_greedy_and_top_k_stays_within_k() -> None:
    stack = stack_of("llama")
    seeds = list(range(len(PROMPTS)))
    one = generate(stack, PROMPTS, max_new_tokens=5, temperature=1.0, top_k=1, seeds=seeds)
    assert one == generate(stack, PROMPTS, max_new_tokens=5)
    prompt, model = PROMPTS[0], stack.loaded.model
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt])).logits[0, -1]
    best = set(logits.topk(5).indices.tolist())
    drawn = {
        generate(stack, [prompt], max_new_tokens=1, temperature=1.0, top_k=5, seeds=[s])[0][0]
        for s in range(60)
    }
    assert drawn <= best
    assert len(drawn) > 1


def test_draws_follow_the_models_probabilities() -> None:
    stack, n = stack_of("llama"), 3000
    drawn = generate(
        stack, [PROMPTS[0]] * n, max_new_tokens=1, temperature=1.0, top_k=3, seeds=range(n)
    )
    with torch.no_grad():
        logits = stack.loaded.model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1].double()
    top = logits.topk(3)
    expected = torch.softmax(top.values, dim=0)
    for token, p in zip(top.indices.tolist(), expected.tolist(), strict=True):
        share = sum(new == (token,) for new in drawn) / n
        assert abs(share - p) < 4 * (p * (1 - p) / n) ** 0.5


def test_drawing_needs_a_seed_for_each_prompt() -> None:
    with pytest.raises(ValueError, match="one seed for each prompt"):
        generate(stack_of("llama"), PROMPTS, max_new_tokens=2, temperature=1.0, seeds=[1])
