"""Batched generation, greedy or sampled with one seed an item."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from editsuite.engine.batch import batches, pad
from editsuite.engine.cache import LayerCache
from editsuite.engine.stack import DecoderStack, causal_mask


@torch.no_grad()
def generate(
    stack: DecoderStack,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Sequence[int] = (),
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
        temperature: 0 takes the most likely token; above, tokens are drawn.
        top_k: draw among the k most likely tokens only.
        seeds: one seed for each prompt, needed when drawing. Every item draws from a generator
            of its own, so that neither order nor batch changes an item's draws.
        token_budget: rows times final width of one batch; the stack's where None.

    Returns:
        The new token ids of each prompt, in the order given.
    """
    if temperature > 0 and (seeds is None or len(seeds) != len(prompts)):
        raise ValueError("sampling needs one seed for each prompt")
    sampling = (temperature, top_k)
    results: list[tuple[int, ...]] = [()] * len(prompts)
    lengths = [len(prompt) + max_new_tokens for prompt in prompts]
    for batch in batches(lengths, token_budget or stack.token_budget):
        draws = (
            [torch.Generator().manual_seed(seeds[i]) for i in batch]
            if temperature > 0 and seeds is not None
            else None
        )
        done = _continue(
            stack, [prompts[i] for i in batch], max_new_tokens, set(stop_ids), sampling, draws
        )
        for index, new in zip(batch, done, strict=True):
            results[index] = tuple(new)
    return results


def _continue(
    stack: DecoderStack,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: set[int],
    sampling: tuple[float, int | None],
    draws: list[torch.Generator] | None,
) -> list[list[int]]:
    padded = pad(prompts, stack.device, left=True)
    cache = LayerCache(grow=True)
    ids, real, positions = padded.ids, padded.real, padded.positions
    new: list[list[int]] = [[] for _ in prompts]
    open_rows = list(range(len(prompts)))
    for _ in range(max_new_tokens):
        hidden = stack.run(
            stack.embed(ids, positions),
            start=0,
            stop=stack.depth,
            positions=positions,
            mask=causal_mask(real, queries=ids.shape[1]),
            cache=cache,
        )
        chosen = _choose(stack.logits(hidden[:, -1]), sampling, draws, open_rows)
        kept = [i for i, token in enumerate(chosen) if token not in stop_ids]
        for i in kept:
            new[open_rows[i]].append(chosen[i])
        if not kept:
            break
        if len(kept) < len(chosen):
            keep = torch.tensor(kept, device=stack.device)
            cache.keep_rows(keep)
            real, positions = real[keep], positions[keep]
            open_rows = [open_rows[i] for i in kept]
        ids = torch.tensor([[chosen[i]] for i in kept], device=stack.device)
        real = torch.cat([real, real.new_ones(len(kept), 1)], dim=1)
        positions = positions[:, -1:] + 1
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
