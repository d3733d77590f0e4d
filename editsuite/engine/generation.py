"""Batched generation, greedy or sampled with one seed an item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.engine.batch import batches
from editsuite.engine.memory import shrinking
from editsuite.engine.prefill import prefill
from editsuite.engine.stack import DecoderStack
from editsuite.engine.tree import LEAST_SHARED, below, prefix_tree


@dataclass(frozen=True)
class Group:
    """Prompts of one batch.

    Attributes:
        members: their indices.
        prefix: tokens that all of them begin with; may be empty.
        suffixes: each prompt's tokens behind it, none empty.
    """

    members: tuple[int, ...]
    prefix: tuple[int, ...]
    suffixes: Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Rows:
    """How the rows of a batch draw their tokens and what ends them."""

    draws: list[torch.Generator] | None
    stop_strings: Sequence[tuple[str, ...]]
    sampling: tuple[float, int | None]
    stop_ids: set[int]

    def complete(self, stack: DecoderStack, row: int, new: Sequence[int]) -> bool:
        """Whether a row's new text holds one of its stop strings."""
        if not self.stop_strings[row]:
            return False
        text = str(stack.loaded.tokenizer.decode(list(new), skip_special_tokens=True))
        return any(string in text for string in self.stop_strings[row])


@torch.no_grad()
def generate(
    stack: DecoderStack,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Sequence[int] = (),
    stop_strings: Sequence[Sequence[str]] | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    seeds: Sequence[int] | None = None,
    token_budget: int | None = None,
) -> list[tuple[int, ...]]:
    """Continue token sequences.

    Args:
        stack: the model in its present state.
        prompts: token ids, none empty.
        max_new_tokens: how many tokens to add at most.
        stop_ids: tokens that end a sequence; they are left out of the result.
        stop_strings: for each prompt the strings that end it once its new text holds one; the
            tokens given back end with the one that completed the string.
        temperature: 0 takes the most likely token; above, tokens are drawn.
        top_k: draw among the k most likely tokens only.
        seeds: one seed for each prompt, needed when drawing. Every item draws from a generator
            of its own, so that neither order nor batch changes an item's draws.
        token_budget: rows times final width of one batch; the stack's where None. Where memory
            runs out the rest is done with half as many.

    Returns:
        The new token ids of each prompt, in the order given.

    Raises:
        EngineError: memory runs out even for one prompt at a time.
    """
    if temperature > 0 and (seeds is None or len(seeds) != len(prompts)):
        raise ValueError("sampling needs one seed for each prompt")
    if stop_strings is not None and len(stop_strings) != len(prompts):
        raise ValueError("stop_strings needs one list of strings for each prompt")
    results: list[tuple[int, ...]] = [()] * len(prompts)
    left = dict(enumerate(prompts))
    for budget in shrinking(token_budget or stack.token_budget):
        with budget:
            for group in _groups(stack, left, max_new_tokens, budget.tokens):
                rows = Rows(
                    _drawing(seeds, group.members) if temperature > 0 else None,
                    [tuple(stop_strings[i]) if stop_strings else () for i in group.members],
                    (temperature, top_k),
                    set(stop_ids),
                )
                done = _continue(stack, group, max_new_tokens, rows)
                for index, new in zip(group.members, done, strict=True):
                    results[index] = tuple(new)
                    del left[index]
    return results


def _drawing(seeds: Sequence[int] | None, members: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seeds[i]) for i in members] if seeds else []


def _groups(
    stack: DecoderStack, prompts: Mapping[int, Sequence[int]], more: int, budget: int
) -> Iterator[Group]:
    """Prompts that share a prefix, in batches of similar length under the budget."""
    numbers = list(prompts)
    least = LEAST_SHARED if stack.ways.share_prefixes else None
    alone: list[int] = []
    for root in prefix_tree([prompts[i] for i in numbers], least=least):
        members = [numbers[i] for i in below(root)]
        # At least one token is left to every prompt, so that there is something to run.
        shared = min(len(root.tokens), min(len(prompts[i]) for i in members) - 1)
        if len(members) == 1 or shared < LEAST_SHARED:
            alone += members
        else:
            yield from _batched(prompts, members, shared, more, budget)
    yield from _batched(prompts, sorted(alone), 0, more, budget)


def _batched(
    prompts: Mapping[int, Sequence[int]], members: list[int], shared: int, more: int, budget: int
) -> Iterator[Group]:
    prefix: tuple[int, ...] = tuple(prompts[members[0]][:shared]) if members else ()
    for batch in batches([len(prompts[i]) + more for i in members], budget):
        chosen = [members[i] for i in batch]
        yield Group(tuple(chosen), prefix, [tuple(prompts[i][shared:]) for i in chosen])


def _continue(
    stack: DecoderStack, group: Group, max_new_tokens: int, rows: Rows
) -> list[list[int]]:
    new: list[list[int]] = [[] for _ in group.members]
    open_rows = list(range(len(new)))
    hidden, fill = prefill(stack, group.prefix, group.suffixes)
    for step in range(max_new_tokens):
        chosen = _choose(stack.logits(hidden[:, -1]), rows.sampling, rows.draws, open_rows)
        more = [i for i, token in enumerate(chosen) if token not in rows.stop_ids]
        for i in more:
            new[open_rows[i]].append(chosen[i])
        kept = [i for i in more if not rows.complete(stack, open_rows[i], new[open_rows[i]])]
        if not kept or step == max_new_tokens - 1:
            break
        if len(kept) < len(chosen):
            fill = fill.keep(torch.tensor(kept, device=stack.device))
            open_rows = [open_rows[i] for i in kept]
        hidden, fill = fill.step(stack, [chosen[i] for i in kept])
    return new


def _choose(
    logits: Tensor,
    sampling: tuple[float, int | None],
    draws: list[torch.Generator] | None,
    rows: Sequence[int],
) -> list[int]:
    if draws is None:
        greedy: list[int] = logits.argmax(dim=-1).tolist()
        return greedy
    temperature, top_k = sampling
    # On the CPU and in float64: a generator of the device would tie draws to the device.
    scaled = logits.double().cpu() / temperature
    if top_k is not None:
        threshold = scaled.topk(top_k, dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < threshold, -torch.inf)
    probabilities = torch.softmax(scaled, dim=-1)
    return [
        int(torch.multinomial(probabilities[i], 1, generator=draws[row]))
        for i, row in enumerate(rows)
    ]
