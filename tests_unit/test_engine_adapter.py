"""An adapter is asked at the last token of each context, however the engine lays out the work.

The slow twin is transformers' own whole forward pass of one sequence, without a cache, with the
same replacement made by a hook at one position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from editsuite.cards import tiny_model
from editsuite.engine import (
    Continuation,
    DecoderStack,
    ResumeCache,
    Scored,
    Ways,
    ask_at,
    generate,
    score,
    written_out,
)
from editsuite.engine.adapter import plain
from editsuite.errors import EngineError

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = ["gpt2", "llama", "qwen2"]
LAYER = 2


@dataclass
class Push:
    """Replaces what the module puts out where its input's first number is above a limit.

    Attributes:
        limit: infinity pushes nobody, minus infinity everybody.
        asked: how many tokens asked so far.
    """

    module: str
    limit: float = -torch.inf
    layer: int = LAYER
    asked: list[int] = field(default_factory=list)

    def __call__(self, entering: Tensor, leaving: Tensor) -> Tensor | None:
        self.asked.append(len(entering))
        pushed = entering[:, 0] > self.limit
        if not bool(pushed.any()):
            return None
        return torch.where(pushed[:, None], 3 * leaving.flip(-1) + 0.5, leaving)


@cache
def stack_of(architecture: str) -> DecoderStack:
    return DecoderStack(tiny_model(architecture, 3))


def push(stack: DecoderStack, limit: float = -torch.inf) -> Push:
    return Push(stack.loaded.family.down_proj, limit)


@contextmanager
def hooked(stack: DecoderStack, adapter: Push, place: int) -> Iterator[None]:
    """The adapter at one position of transformers' own forward pass."""

    def replace(_: object, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        changed = output.clone()
        put = adapter(inputs[0][:, place], output[:, place])
        if put is not None:
            changed[:, place] = put
        return changed

    handle = stack.loaded.down_proj(adapter.layer).register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def plain_score(stack: DecoderStack, adapter: Push, item: Continuation) -> Scored:
    model: Any = stack.loaded.model
    with hooked(stack, adapter, len(item.context) - 1):
        logits = model(input_ids=torch.tensor([item.context + item.target])).logits[0].float()
    log_probs = torch.log_softmax(logits[len(item.context) - 1 : -1], dim=-1)
    picked = [float(row[token]) for row, token in zip(log_probs, item.target, strict=True)]
    return Scored(tuple(picked), tuple(log_probs.argmax(dim=-1).tolist()))


@torch.no_grad()
def plain_greedy(
    stack: DecoderStack, adapter: Push, prompt: Sequence[int], n: int
) -> tuple[int, ...]:
    """Every token by a whole pass without a cache; the prompt's last token asks, no other."""
    model: Any = stack.loaded.model
    ids = list(prompt)
    for _ in range(n):
        with hooked(stack, adapter, len(prompt) - 1):
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits
        ids.append(int(logits[0, -1].argmax()))
    return tuple(ids[len(prompt) :])


def assert_same(ours: Sequence[Scored], twin: Sequence[Scored]) -> None:
    for a, b in zip(ours, twin, strict=True):
        assert a.log_probs == pytest.approx(b.log_probs, abs=2e-5)
        assert a.predicted == b.predicted


#: Pieces put together, so that long stretches are shared and contexts end inside them.
PIECES = st.lists(st.sampled_from([(1,) * 5, (1, 2), (3,), (2,) * 4]), min_size=1, max_size=5)
TOKENS = PIECES.map(lambda parts: sum(parts, ()))
ITEMS = st.lists(st.builds(Continuation, TOKENS, TOKENS), min_size=1, max_size=6)


@settings(max_examples=25)
@given(st.sampled_from(ARCHITECTURES), ITEMS, st.integers(1, 80), st.booleans())
def test_scores_are_those_of_whole_passes_with_a_hook(
    architecture: str, items: list[Continuation], budget: int, shares: bool
) -> None:
    stack = DecoderStack(stack_of(architecture).loaded, ways=Ways(share_prefixes=shares))
    adapter = push(stack, 0.0)
    with stack.adapted(adapter):
        ours = score(stack, items, token_budget=budget)
    assert_same(ours, [plain_score(stack, adapter, item) for item in items])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_tokens_asked_at_another_place_are_another_sequence(architecture: str) -> None:
    stack = stack_of(architecture)
    tokens = tuple(range(40, 60))
    items = [Continuation(tokens[:cut], tokens[cut:]) for cut in (1, 9, 12, 19)]
    adapter = push(stack)
    with stack.adapted(adapter):
        ours = score(stack, items)
    assert_same(ours, [plain_score(stack, adapter, item) for item in items])
    assert len({s.log_probs[-1] for s in ours}) == len(items)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("budget", [1, 30, 2048])
def test_generation_asks_at_each_prompts_last_token_only(architecture: str, budget: int) -> None:
    """Rows of other lengths, padded on the left; prompts that others begin with; cached."""
    stack = stack_of(architecture)
    adapter = push(stack, 0.0)
    long = tuple(range(60, 72))
    prompts = [(7,), tuple(b"The cat"), long, (*long, 80), (*long, 80, 81, 82), (9, 9, 9)]
    with stack.adapted(adapter):
        ours = generate(stack, prompts, max_new_tokens=5, token_budget=budget)
    assert sum(adapter.asked) == len(prompts)
    assert ours == [plain_greedy(stack, adapter, prompt, 5) for prompt in prompts]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_generated_is_what_the_whole_pass_ranks_first(architecture: str) -> None:
    stack = stack_of(architecture)
    prompts = [tuple(b"The cat"), tuple(b"A"), tuple(b"Once upon a time there was")]
    with stack.adapted(push(stack)):
        new = generate(stack, prompts, max_new_tokens=6)
        scored = score(stack, [Continuation(p, n) for p, n in zip(prompts, new, strict=True)])
    assert [s.predicted for s in scored] == new
    assert new != generate(stack, prompts, max_new_tokens=6), "the adapter changed nothing"


@settings(max_examples=25)
@given(
    st.sampled_from(ARCHITECTURES),
    st.lists(st.lists(st.integers(0, 255), min_size=2, max_size=20), min_size=1, max_size=6),
)
def test_where_the_adapter_is_silent_no_bit_changes(
    architecture: str, sequences: list[list[int]]
) -> None:
    stack = stack_of(architecture)
    items = [Continuation(tuple(s[:-1]), (s[-1], 5, 6)) for s in sequences]
    prompts = [item.context for item in items]
    bare = score(stack, items), generate(stack, prompts, max_new_tokens=3)
    with stack.adapted(push(stack, torch.inf)):
        assert score(stack, items) == bare[0]
        assert generate(stack, prompts, max_new_tokens=3) == bare[1]
    assert score(stack, items) == bare[0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_neighbour_that_is_answered_changes_no_bit_of_the_others(architecture: str) -> None:
    stack = stack_of(architecture)
    items = [Continuation(tuple(range(i, i + 6)), (1, 2)) for i in range(0, 200, 11)]
    bare = score(stack, items)
    firsts: list[float] = []

    def note(_: object, inputs: tuple[Tensor, ...], __: object) -> None:
        firsts.append(float(inputs[0][0, 5, 0]))

    handle = stack.loaded.down_proj(LAYER).register_forward_hook(note)
    model: Any = stack.loaded.model
    for item in items:
        model(input_ids=torch.tensor([item.context]))
    handle.remove()
    limit = sorted(firsts)[len(firsts) // 2]
    with stack.adapted(push(stack, limit)):
        ours = score(stack, items)
    answered = [first > limit + 1e-4 for first in firsts]
    silent = [first < limit - 1e-4 for first in firsts]
    assert any(answered)
    assert any(silent)
    for was, now, yes, no in zip(bare, ours, answered, silent, strict=True):
        assert (was != now) if yes else (not no or was == now)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kept_states_serve_the_adapted_model_and_the_plain_one(architecture: str) -> None:
    stack = stack_of(architecture)
    items = [Continuation(tuple(range(30, 45)), (1, 2)), Continuation((9, 8, 7), (6,))]
    prompts = [item.context for item in items]

    def answers() -> tuple[list[Scored], list[tuple[int, ...]]]:
        return score(stack, items), generate(stack, prompts, max_new_tokens=3)

    bare = answers()
    with stack.adapted(push(stack)):
        whole = answers()
    kept = ResumeCache(LAYER, ("tiny",))
    with stack.resumed(kept):
        assert answers() == bare
        held = kept.held
        assert held > 0
        with stack.adapted(push(stack)):
            assert answers() == whole
            assert answers() == whole
        assert answers() == bare
        assert kept.held == held, "the adapted model computed the lower layers again"


def test_kept_states_above_the_adapter_are_refused() -> None:
    stack = stack_of("llama")
    with stack.adapted(push(stack)), stack.resumed(ResumeCache(LAYER + 1, ("tiny",))):
        with pytest.raises(EngineError, match="above the adapter at layer 2"):
            score(stack, [Continuation((1, 2), (3,))])
        with pytest.raises(EngineError, match="above the adapter at layer 2"):
            generate(stack, [(1, 2)], max_new_tokens=1)


def test_a_pass_that_does_not_say_who_asks_is_refused() -> None:
    stack = stack_of("llama")
    hidden = torch.zeros(1, 2, 32)
    positions = torch.tensor([[0, 1]])
    mask = torch.ones(1, 2, 2, dtype=torch.bool).tril()

    def run(start: int, stop: int) -> None:
        stack.run(hidden, start=start, stop=stop, positions=positions, mask=mask)

    with stack.adapted(push(stack)):
        run(0, LAYER)
        run(LAYER + 1, 4)
        with pytest.raises(EngineError, match="does not say which tokens query it"):
            run(0, 4)


def test_no_hook_is_left_behind_even_by_an_error() -> None:
    stack = stack_of("llama")
    module = stack.loaded.down_proj(LAYER)

    @dataclass
    class Broken(Push):
        def __call__(self, entering: Tensor, leaving: Tensor) -> Tensor | None:
            assert len(module._forward_hooks) == 1
            raise ZeroDivisionError

    adapter = Broken(stack.loaded.family.down_proj)
    with stack.adapted(adapter), pytest.raises(ZeroDivisionError):
        score(stack, [Continuation((1, 2), (3,))])
    assert not module._forward_hooks
    assert stack.adapter is None
    assert not stack.loaded.model.training


def test_layers_written_out_do_not_pass_an_adapter_by() -> None:
    stack = stack_of("llama")
    assert written_out(stack, LAYER)
    with stack.adapted(push(stack)):
        assert not written_out(stack, LAYER)
        assert written_out(stack, LAYER + 1)


@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=9), st.data())
@settings(max_examples=50)
def test_a_query_is_told_from_its_token_and_back(tokens: list[int], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(tokens) - 1))
    asked = ask_at(tokens, place)
    assert plain(asked) == tuple(tokens)
    assert [i for i, token in enumerate(asked) if token < 0] == [place]


def test_lm_eval_asks_the_adapted_model() -> None:
    """Scores, whole texts and generations of the harness go the same way."""
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance

    from editsuite.engine.harness import EngineLM

    stack = stack_of("llama")
    lm = EngineLM(stack)

    def instance(kind: str, *args: object) -> Instance:
        return Instance(request_type=kind, doc={}, arguments=args, idx=0)

    adapter = push(stack)
    with stack.adapted(adapter):
        ((said, _),) = lm.loglikelihood([instance("loglikelihood", "The cat", " sat")])
        (text,) = lm.generate_until(
            [instance("generate_until", "The cat", {"until": ["\n\n"], "max_gen_toks": 4})]
        )
        (whole,) = lm.loglikelihood_rolling([instance("loglikelihood_rolling", "The cat")])
    context, target = tuple(lm.tok_encode("The cat")), tuple(lm.tok_encode(" sat"))
    assert said == pytest.approx(
        sum(plain_score(stack, adapter, Continuation(context, target)).log_probs), abs=1e-4
    )
    greedy = plain_greedy(stack, adapter, context, 4)
    assert lm.tok_decode(list(greedy)).startswith(text)
    assert text
    # A whole text is asked with the token that stands before it, and so is asked there.
    first = Continuation((lm.prefix_token_id,), context)
    assert whole == pytest.approx(sum(plain_score(stack, adapter, first).log_probs), abs=1e-4)
