"""Teacher-forced log-likelihoods: what the model says of given continuations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from editsuite.engine.batch import batches, pad
from editsuite.engine.stack import DecoderStack, causal_mask


@dataclass(frozen=True)
class Continuation:
    """A context and what is to follow it, as token ids.

    Raises:
        ValueError: the context is empty, so that nothing predicts the first target token.
    """

    context: tuple[int, ...]
    target: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.context:
            raise ValueError("a continuation needs a context of at least one token")


@dataclass(frozen=True)
class Scored:
    """What the model said of one continuation.

    Attributes:
        log_probs: natural log-probability of each target token, given all tokens before it.
        predicted: the token the model ranks first at each target position.
    """

    log_probs: tuple[float, ...]
    predicted: tuple[int, ...]


@torch.no_grad()
def score(
    stack: DecoderStack,
    continuations: Sequence[Continuation],
    *,
    token_budget: int | None = None,
) -> list[Scored]:
    """Score continuations in batches of similar length; logits only where they are read.

    Args:
        stack: the model in its present state.
        continuations: what to score, in any order.
        token_budget: rows times width of one forward pass; the stack's where None.

    Returns:
        One result for each continuation, in the order given.
    """
    results: list[Scored | None] = [None] * len(continuations)
    lengths = [len(item.context) + len(item.target) - 1 for item in continuations]
    for batch in batches(lengths, token_budget or stack.token_budget):
        for index, scored in zip(
            batch, _score_batch(stack, [continuations[i] for i in batch]), strict=True
        ):
            results[index] = scored
    return [scored for scored in results if scored is not None]


def _score_batch(stack: DecoderStack, items: Sequence[Continuation]) -> list[Scored]:
    padded = pad([item.context + item.target[:-1] for item in items], stack.device, left=False)
    hidden = stack.run(
        stack.embed(padded.ids, padded.positions),
        start=0,
        stop=stack.depth,
        positions=padded.positions,
        mask=causal_mask(padded.real),
    )
    rows = [row for row, item in enumerate(items) for _ in item.target]
    columns = [len(item.context) - 1 + i for item in items for i in range(len(item.target))]
    wanted = [token for item in items for token in item.target]
    log_probs = torch.log_softmax(stack.logits(hidden[rows, columns]), dim=-1)
    picked = log_probs[torch.arange(len(wanted)), torch.tensor(wanted)].tolist()
    best = log_probs.argmax(dim=-1).tolist()
    results, at = [], 0
    for item in items:
        end = at + len(item.target)
        results.append(Scored(tuple(picked[at:end]), tuple(best[at:end])))
        at = end
    return results
