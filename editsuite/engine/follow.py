"""What the model says of given continuations of prompts that were run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from editsuite.engine.batch import PaddedBatch, pad, positions_of
from editsuite.engine.grouped import grouped
from editsuite.engine.mask import causal_mask
from editsuite.engine.prefill import Filled
from editsuite.engine.scoring import ROWS
from editsuite.engine.stack import DecoderStack


def follow(
    stack: DecoderStack, part: Filled, continuations: Sequence[Sequence[int]]
) -> list[float]:
    """Natural log-probability of one continuation of each prompt.

    Args:
        stack: the model in its present state.
        part: the prompts that were run, which stay as they are.
        continuations: token ids for each; 0 is the answer where there are none.

    Returns:
        The sums over the tokens.
    """
    firsts = [i for i, tokens in enumerate(continuations) if tokens]
    totals = [0.0] * len(continuations)
    _add(stack, part.last[firsts], firsts, [continuations[i][0] for i in firsts], totals)
    longer = [i for i in firsts if len(continuations[i]) > 1]
    if longer:
        padded = pad([tokens[:-1] or (0,) for tokens in continuations], stack.device, left=False)
        hidden = _run(stack, part, padded)
        for i in longer:
            targets = continuations[i][1:]
            states = hidden[i, : len(targets)]
            _add(stack, states, [i] * len(targets), targets, totals)
    return totals


def _run(stack: DecoderStack, part: Filled, padded: PaddedBatch) -> Tensor:
    real = torch.cat([part.real, padded.real], dim=1)
    places = positions_of(real)
    width = padded.ids.shape[1]
    positions = places[:, -width:]
    with grouped(stack.loaded.model):
        return stack.run(
            stack.embed(padded.ids, positions),
            start=0,
            stop=stack.depth,
            positions=positions,
            mask=causal_mask(real, queries=width),
            key_positions=places,
            cache=part.cache.frozen(),
            queries=torch.zeros_like(padded.real),
        )


def _add(
    stack: DecoderStack,
    states: Tensor,
    owners: Sequence[int],
    targets: Sequence[int],
    totals: list[float],
) -> None:
    for start in range(0, len(targets), ROWS):
        stop = start + ROWS
        logits = stack.logits(states[start:stop])
        wanted = torch.tensor(targets[start:stop], device=logits.device)[:, None]
        found = (logits.gather(1, wanted)[:, 0] - torch.logsumexp(logits, dim=-1)).tolist()
        for owner, log_prob in zip(owners[start:stop], found, strict=True):
            totals[owner] += log_prob
