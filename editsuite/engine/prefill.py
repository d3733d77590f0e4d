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
    """Prompts that were run.

    Attributes:
        cache: all layers' keys and values.
        real: ``[rows, columns]`` bool, false at padding.
        last: ``[rows, hidden]`` the state of each row's last token leaving the last layer.
    """

    cache: LayerCache
    real: Tensor
    last: Tensor


def begin(stack: DecoderStack, prefix: tuple[int, ...]) -> LayerCache:
    """Run what several prompts begin with; may be empty.

    Where the stack resumes, the layers below start from what they gave before. An adapter is
    not asked.
    """
    cache = LayerCache(grow=True)
    if prefix:
        _enter(stack, (), [prefix], cache, asks=False)
    return cache


def prefill(
    stack: DecoderStack,
    prefix: tuple[int, ...],
    begun: LayerCache,
    suffixes: Sequence[tuple[int, ...]],
) -> Filled:
    """Run the prompts that continue a prefix.

    Where the stack resumes, the layers below start from what they gave before. An adapter is
    asked at the last token of each prompt, and never at the tokens that are decoded.

    Args:
        stack: the model in its present state.
        prefix: tokens that every prompt begins with; may be empty.
        begun: what `begin` gave for it, which stays as it is.
        suffixes: what follows in each prompt, none empty.

    Returns:
        What decoding goes on from.
    """
    cache = begun.rows(len(suffixes))
    hidden, real = _enter(stack, prefix, suffixes, cache, asks=True)
    return Filled(cache, real, hidden[:, -1])


def _enter(
    stack: DecoderStack,
    prefix: tuple[int, ...],
    suffixes: Sequence[tuple[int, ...]],
    cache: LayerCache,
    *,
    asks: bool,
) -> tuple[Tensor, Tensor]:
    """States leaving the last layer, and which columns are real."""
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
    return run(hidden, layer, stack.depth), real
