"""Second moments of a model's keys over token sequences."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.editors.lookup import caught, run_through
from editsuite.engine import DecoderStack, batches, pad
from editsuite.errors import OptionError


@dataclass
class Moment:
    """A sum over keys as it grows.

    Attributes:
        total: ``[d_ff, d_ff]`` float64, the sum of ``k k^T``.
        count: number of keys.
    """

    total: Tensor
    count: int = 0


@torch.no_grad()
def second_moments(
    stack: DecoderStack, layers: Sequence[int], pieces: list[list[int]], *, token_budget: int = 4096
) -> list[Moment]:
    """The sums of ``k k^T`` over all tokens, for several layers in one pass."""
    down_proj = stack.loaded.family.down_proj
    found: list[Moment] = []
    for batch in batches([len(piece) for piece in pieces], token_budget):
        padded = pad([pieces[i] for i in batch], stack.device, left=False)
        with ExitStack() as hooks:
            kept = [
                hooks.enter_context(
                    caught(stack.layers[layer].get_submodule(down_proj), inputs=True)
                )
                for layer in layers
            ]
            run_through(stack, padded, max(layers))
        keys = [inputs[0][padded.real].float() for inputs in kept]
        parts = [(k.T @ k).double().cpu() for k in keys]
        found = found or [Moment(torch.zeros_like(part)) for part in parts]
        for moment, part in zip(found, parts, strict=True):
            moment.total += part
            moment.count += int(padded.real.sum())
    if not found:
        raise OptionError("the covariance's corpus holds no text; give one with mom2_corpus")
    return found
