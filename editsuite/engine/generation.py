"""Batched generation, greedy or sampled with one seed an item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Required, TypedDict, Unpack

import torch

from editsuite.engine.batch import batches
from editsuite.engine.continuing import ROWS, continued
from editsuite.engine.follow import follow
from editsuite.engine.memory import find_cached_tokens, shrinking
from editsuite.engine.prefill import Filled, begin, prefill
from editsuite.engine.row import Row, Stops
from editsuite.engine.stack import DecoderStack
from editsuite.engine.tree import LEAST_SHARED, below, prefix_tree


@dataclass(frozen=True)
class Root:
    """Prompts that begin alike.

    Attributes:
        members: their indices.
        shared: number of tokens that all of them begin with; 0 where they share none.
    """

    members: tuple[int, ...]
    shared: int


class Settings(TypedDict, total=False):
    """How texts are written.

    Attributes:
        max_new_tokens: how many tokens to add at most.
        stop_ids: tokens that end a sequence; they are left out of the result.
        stop_strings: for each prompt the strings that end it once its new text holds one; the
            tokens given back end with the one that completed the string.
        temperature: 0 takes the most likely token; above, tokens are drawn.
        top_k: draw among the k most likely tokens only.
        seeds: one seed for each prompt, needed when drawing. Every item draws from a generator
            of its own, so that neither order nor batch changes an item's draws.
        token_budget: tokens of prompts in one forward pass; the stack's where None. Where memory
            runs out the rest is done with half as many.
    """

    max_new_tokens: Required[int]
    stop_ids: Sequence[int]
    stop_strings: Sequence[Sequence[str]] | None
    temperature: float
    top_k: int | None
    seeds: Sequence[int] | None
    token_budget: int | None


@dataclass(frozen=True)
class Written:
    """What a prompt came to.

    Attributes:
        tokens: the new ones.
        log_prob: natural log-probability of the text that was asked about; 0 where none was.
    """

    tokens: tuple[int, ...]
    log_prob: float = 0.0


def generate(
    stack: DecoderStack, prompts: Sequence[Sequence[int]], **settings: Unpack[Settings]
) -> list[tuple[int, ...]]:
    """Continue token sequences.

    Args:
        stack: the model in its present state.
        prompts: token ids, none empty.
        settings: see `Settings`.

    Returns:
        The new token ids of each prompt, in the order given.

    Raises:
        EngineError: memory runs out even for one prompt at a time.
    """
    return [one.tokens for one in write(stack, prompts, (), **settings)]


@torch.no_grad()
def write(
    stack: DecoderStack,
    prompts: Sequence[Sequence[int]],
    asked: Sequence[Sequence[int]],
    **settings: Unpack[Settings],
) -> list[Written]:
    """Continue token sequences, and score given continuations of the same prompts besides.

    A prompt is run once for both.

    Args:
        stack: the model in its present state.
        prompts: token ids, none empty.
        asked: for each prompt the tokens to score behind it, which may be none; or nothing.
        settings: see `Settings`.

    Returns:
        What each prompt came to, in the order given.

    Raises:
        EngineError: memory runs out even for one prompt at a time.
    """
    _check(len(prompts), settings)
    if settings["max_new_tokens"] == 0 and not asked:
        return [Written(())] * len(prompts)
    fresh = _rows(stack, len(prompts), settings)
    done: dict[int, Written] = {}
    whole = settings.get("token_budget") or stack.token_budget
    for budget in shrinking(whole):
        with budget:
            left = {i: prompt for i, prompt in enumerate(prompts) if i not in done}
            held = find_cached_tokens(stack.loaded) * budget.tokens // whole
            waiting = _waiting(stack, left, asked, fresh, (budget.tokens, held))
            for row in continued(stack, waiting, left, held):
                done[row.index] = Written(tuple(row.new), row.log_prob)
    return [done[i] for i in range(len(prompts))]


def _check(number: int, settings: Settings) -> None:
    seeds, strings = settings.get("seeds"), settings.get("stop_strings")
    if settings.get("temperature", 0.0) > 0 and (seeds is None or len(seeds) != number):
        raise ValueError("sampling needs one seed for each prompt")
    if strings is not None and len(strings) != number:
        raise ValueError("stop_strings needs one list of strings for each prompt")


def _rows(stack: DecoderStack, number: int, settings: Settings) -> Callable[[int], Row]:
    """Gives each prompt's row, with nothing written yet."""
    strings, seeds = settings.get("stop_strings"), settings.get("seeds")
    most, heat = settings["max_new_tokens"], settings.get("temperature", 0.0)
    top_k = settings.get("top_k")
    hidden = frozenset(stack.loaded.tokenizer.all_special_ids) if strings else frozenset()
    ends = frozenset(settings.get("stop_ids", ()))
    stops = [Stops(ends, tuple(strings[i]) if strings else (), hidden) for i in range(number)]
    return lambda i: Row(i, stops[i], most, heat, top_k, seeds[i] if seeds else None)


def _waiting(
    stack: DecoderStack,
    prompts: Mapping[int, Sequence[int]],
    asked: Sequence[Sequence[int]],
    fresh: Callable[[int], Row],
    budgets: tuple[int, int],
) -> Iterator[tuple[list[Row], Filled]]:
    for members, part in _run(stack, prompts, *budgets):
        rows = [fresh(i) for i in members]
        if asked:
            scores = follow(stack, part, [asked[i] for i in members])
            for row, log_prob in zip(rows, scores, strict=True):
                row.log_prob = log_prob
        yield rows, part


def _run(
    stack: DecoderStack, prompts: Mapping[int, Sequence[int]], budget: int, held: int
) -> Iterator[tuple[list[int], Filled]]:
    """Prompts that were run, the longest first; a pass is made when its turn comes.

    Args:
        stack: the model.
        prompts: token ids by index.
        budget: tokens in one forward pass.
        held: tokens whose keys and values may be held.
    """
    for root in _roots(stack, prompts):
        prefix = tuple(prompts[root.members[0]][: root.shared])
        begun = begin(stack, prefix)
        own = [len(prompts[i]) - root.shared for i in root.members]
        most = max(1, min(ROWS, held // (root.shared + max(own))))
        for batch in batches(own, budget):
            for first in range(0, len(batch), most):
                members = [root.members[at] for at in batch[first : first + most]]
                suffixes = [tuple(prompts[i][root.shared :]) for i in members]
                yield members, prefill(stack, prefix, begun, suffixes)


def _roots(stack: DecoderStack, prompts: Mapping[int, Sequence[int]]) -> list[Root]:
    """Prompts by what they begin with, the longest first, so that neighbours are alike."""
    numbers = list(prompts)
    least = LEAST_SHARED if stack.ways.share_prefixes else None
    alone: list[int] = []
    roots: list[Root] = []
    for node in prefix_tree([prompts[i] for i in numbers], least=least):
        members = tuple(numbers[i] for i in below(node))
        # At least one token is left to every prompt, so that there is something to run.
        shared = min(len(node.tokens), min(len(prompts[i]) for i in members) - 1)
        if len(members) == 1 or shared < LEAST_SHARED:
            alone += members
        else:
            roots.append(Root(members, shared))
    if alone:
        roots.append(Root(tuple(sorted(alone)), 0))
    return sorted(roots, key=lambda root: -max(len(prompts[i]) for i in root.members))
