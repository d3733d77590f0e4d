"""Token sequences as padded tensors, and requests as batches under a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PaddedBatch:
    """Sequences of different length in one tensor.

    Attributes:
        ids: ``[rows, width]`` token ids; padding holds 0, which no query ever sees.
        real: ``[rows, width]`` bool, false at padding.
        positions: ``[rows, width]`` position of each token in its own sequence, from 0.
    """

    ids: Tensor
    real: Tensor
    positions: Tensor


def pad(sequences: Sequence[Sequence[int]], device: torch.device, *, left: bool) -> PaddedBatch:
    """Pad token sequences to one width; positions count real tokens only."""
    width = max(len(sequence) for sequence in sequences)
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    real = torch.zeros(len(sequences), width, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        place = slice(width - len(sequence), width) if left else slice(0, len(sequence))
        ids[row, place] = torch.tensor(sequence, dtype=torch.long)
        real[row, place] = True
    return PaddedBatch(ids.to(device), real.to(device), positions_of(real).to(device))


def positions_of(real: Tensor) -> Tensor:
    """Position of each column's token in its own row, ``[rows, width]``; padding has any.

    Args:
        real: ``[rows, width]`` bool, false at padding.
    """
    return (real.long().cumsum(dim=1) - 1).clamp(min=0)


def batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Group item indices so that rows times width stays within the budget.

    Items are taken longest first, so that neighbours in a batch have similar lengths and little
    is padded; ties are broken by index, so the grouping is a function of the lengths alone. An
    item longer than the budget makes a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batch: list[int] = []
    width = 0
    for index in order:
        width = max(width, lengths[index])
        if batch and width * (len(batch) + 1) > token_budget:
            yield batch
            batch, width = [], lengths[index]
        batch.append(index)
    if batch:
        yield batch
