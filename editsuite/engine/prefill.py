"""The beginning of a generation: prompts run once, and the cache that decoding goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.engine.batch import pad
from editsuite.engine.cache import LayerCache
from editsuite.engine.mask import causal_mask
from editsuite.engine.resume import same_device
from editsuite.engine.stack import DecoderStack


@dataclass(frozen=True)
class Filled:
    """Keys and values of what was run, and where the next token goes.

    Attributes:
        cache: all layers' keys and values.
        real: ``[rows, columns]`` bool, false at padding.
        positions: ``[rows, 1]`` position of the last token.
    """

    cache: LayerCache
    real: Tensor
    positions: Tensor

    def keep(self, rows: Tensor) -> Filled:
        """Drop the sequences that are finished; ``rows`` are the indices that stay."""
        self.cache.keep_rows(rows)
        return Filled(self.cache, self.real[rows], self.positions[rows])

    def step(self, stack: DecoderStack, tokens: Sequence[int]) -> tuple[Tensor, Filled]:
        """Run one more token in every row; gives the states leaving the last layer."""
        ids = torch.tensor(tokens, device=stack.device)[:, None]
        real = torch.cat([self.real, self.real.new_ones(len(tokens), 1)], dim=1)
        positions = self.positions + 1
        hidden = stack.run(
            stack.embed(ids, positions),
            start=0,
            stop=stack.depth,
            positions=positions,
            mask=causal_mask(real, queries=1),
            cache=self.cache,
            queries=torch.zeros_like(ids, dtype=torch.bool),
        )
        return hidden, Filled(self.cache, real, positions)


def prefill(
    stack: DecoderStack, prefix: tuple[int, ...], suffixes: Sequence[tuple[int, ...]]
) -> tuple[Tensor, Filled]:
    """Run a common prefix once and all suffixes behind it.

    Where the stack resumes, the layers below start from what they gave before. An adapter is
    asked at the last token of each prompt, and never at the tokens that are decoded.

    Args:
        stack: the model in its present state.
        prefix: tokens that every prompt begins with; may be empty.
        suffixes: what follows in each prompt, none empty.

    Returns:
        The states leaving the last layer, ``[rows, width, hidden]``, the suffixes being padded
        on the left; and what decoding goes on from.
    """
    cache = LayerCache(grow=True)
    if prefix:
        _enter(stack, (), [prefix], cache, asks=False)
        cache = cache.rows(len(suffixes))
    return _enter(stack, prefix, suffixes, cache, asks=True)


def _enter(
    stack: DecoderStack,
    prefix: tuple[int, ...],
    suffixes: Sequence[tuple[int, ...]],
    cache: LayerCache,
    *,
    asks: bool,
) -> tuple[Tensor, Filled]:
    padded = pad(suffixes, stack.device, left=True)
    real = torch.cat([padded.real.new_ones(len(suffixes), len(prefix)), padded.real], dim=1)
    positions = padded.positions + len(prefix)
    mask = causal_mask(real, queries=padded.ids.shape[1])
    queries = torch.zeros_like(padded.real)
    queries[:, -1] = asks

    def run(hidden: Tensor, start: int, stop: int) -> Tensor:
        return stack.run(
            hidden,
            start=start,
            stop=stop,
            positions=positions,
            mask=mask,
            cache=cache,
            queries=queries,
        )

    hidden = stack.embed(padded.ids, positions)
    resume = stack.resume
    layer = stack.resumes_at
    if resume is not None and layer:
        ran: list[bool] = []

        def compute() -> Mapping[str, Tensor]:
            ran.append(True)
            entering = run(hidden, 0, layer)
            return {"hidden": entering, **cache.tensors(layer, len(prefix))}

        asked = ["generation", prefix, list(suffixes)]
        states = same_device(resume.states(asked, compute), stack.device)
        if not ran:
            cache.append(states, layer)
        hidden = states["hidden"]
    return run(hidden, layer, stack.depth), Filled(cache, real, positions[:, -1:])
