"""Generation of a batch is that of each prompt alone; draws belong to the item."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.cards import FAMILIES, tiny_model
from editsuite.engine import Continuation, DecoderStack, Ways, decoding, generate, generation, score
from editsuite.engine.cache import LayerCache
from editsuite.engine.draft import REPEATED, drafts, guesses
from editsuite.engine.generation import write
from editsuite.engine.room import Room

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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("temperature", [0.0, 0.02])
def test_guesses_change_nothing(architecture: str, temperature: float) -> None:
    found = []
    for guess in (False, True):
        stack = DecoderStack(stack_of(architecture).loaded, ways=Ways(guess_repeats=guess))
        drawing = {"temperature": temperature, "seeds": [1, 2, 3, 4]}
        found.append(generate(stack, PROMPTS, max_new_tokens=90, **drawing))  # type: ignore[arg-type]
    assert found[0] == found[1]
    assert all(len(new) == 90 for new in found[0])


def test_a_text_that_repeats_itself_takes_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small random models soon say the same again and again."""
    steps = []
    step = decoding.Decoding.step
    monkeypatch.setattr(
        decoding.Decoding, "step", lambda self, tokens: steps.append(1) or step(self, tokens)
    )
    fewer = 0
    for architecture in ARCHITECTURES:
        for prompt in PROMPTS:
            steps.clear()
            generate(stack_of(architecture), [prompt], max_new_tokens=90)
            assert len(steps) <= 89
            fewer += len(steps) < 70
    assert fewer >= 5


def test_guesses_never_run_past_the_last_position() -> None:
    stack = stack_of("gpt2")
    model: Any = stack.loaded.model
    room = model.config.n_positions
    prompt = tuple(b"ab" * 20)
    (new,) = generate(stack, [prompt], max_new_tokens=room - len(prompt))
    assert len(new) == room - len(prompt)


@given(st.lists(st.integers(0, 2), max_size=80), st.integers(1, 20))
def test_a_guess_continues_a_repetition(text: list[int], number: int) -> None:
    guess = guesses(text, number)
    tail = text[-REPEATED:]
    stood = [
        end
        for end in range(REPEATED, len(text))
        if len(text) > REPEATED and text[end - REPEATED : end] == tail
    ]
    if not stood:
        assert guess is None
        return
    back = len(text) - stood[-1]
    whole = list(text)
    for _ in range(number):
        whole.append(whole[-back])
    assert guess == tuple(whole[len(text) :])


def test_guesses_are_equally_many_and_never_too_many() -> None:
    looping, other = [1, 2, 3] * 10, list(range(30))
    assert drafts([looping, other], 4) == [(1, 2, 3, 1), (0, 0, 0, 0)]
    assert drafts([looping, other, other, other], 4) == [()] * 4
    assert drafts([looping], 0) == [()]
    assert drafts([looping] * 60, 100) == [()] * 60


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(ARCHITECTURES),
    st.lists(
        st.lists(st.integers(0, 255), min_size=1, max_size=30).map(tuple), min_size=1, max_size=7
    ),
    st.integers(1, 200),
)
def test_greedy_does_not_depend_on_who_is_continued_together(
    architecture: str, prompts: list[tuple[int, ...]], held: int
) -> None:
    stack = stack_of(architecture)
    alone = [generate(stack, [prompt], max_new_tokens=20)[0] for prompt in prompts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "find_cached_tokens", lambda loaded: held)
        assert generate(stack, prompts, max_new_tokens=20) == alone


def test_room_holds_what_rows_have_however_they_come_and_go() -> None:
    draw = torch.Generator().manual_seed(0)
    room, held = Room(2), []
    number = 0
    for turn in range(60):
        if turn % 3 == 0:
            rows, columns = 1 + turn % 4, 3 + turn % 7
            cache = LayerCache(grow=True)
            made = torch.randn(2, 2, rows, 2, columns, 4, generator=draw)
            for layer in range(2):
                cache.update(made[layer, 0], made[layer, 1], layer)
            room.join(cache, range(rows))
            held += [made[:, :, row] for row in range(rows)]
        new = torch.randn(2, 2, len(held), 2, 30, 4, generator=draw)
        for layer in range(2):
            keys, values = room.update(new[layer, 0], new[layer, 1], layer)
            for row, own in enumerate(held):
                whole = torch.cat([own[layer], new[layer, :, row]], dim=2)
                number += 1
                assert torch.equal(keys[row, :, -whole.shape[2] :], whole[0])
                assert torch.equal(values[row, :, -whole.shape[2] :], whole[1])
        room.fill(30)
        held = [torch.cat([own, new[:, :, row]], dim=3) for row, own in enumerate(held)]
        if turn % 5 == 4:
            stay = [row for row in range(len(held)) if (row + turn) % 3]
            held = [held[row] for row in room.keep(stay)]
    assert number > 500


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(ARCHITECTURES),
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 255), min_size=1, max_size=25).map(tuple),
            st.lists(st.integers(0, 255), max_size=12).map(tuple),
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 100),
)
def test_what_is_asked_besides_is_what_scoring_gives(
    architecture: str, items: list[tuple[tuple[int, ...], tuple[int, ...]]], budget: int
) -> None:
    stack = stack_of(architecture)
    prompts, asked = [prompt for prompt, _ in items], [target for _, target in items]
    written = write(stack, prompts, asked, max_new_tokens=3, token_budget=budget)
    assert [one.tokens for one in written] == generate(stack, prompts, max_new_tokens=3)
    scored = score(stack, [Continuation(p, t) for p, t in items if t])
    expected = iter([sum(one.log_probs) for one in scored])
    for one, target in zip(written, asked, strict=True):
        assert one.log_prob == pytest.approx(next(expected) if target else 0.0, abs=1e-4)


def test_what_is_asked_besides_is_scored_where_no_token_is_added() -> None:
    stack, target = stack_of("llama"), tuple(b" sat")
    (one,) = write(stack, PROMPTS[:1], [target], max_new_tokens=0)
    (scored,) = score(stack, [Continuation(PROMPTS[0], target)])
    assert one.tokens == ()
    assert one.log_prob == pytest.approx(sum(scored.log_probs), abs=1e-4)
