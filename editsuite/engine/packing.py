"""Sequences packed into one row, without padding.

A row holds several sequences one behind another; a mask lets each token see its own sequence
only, and those that it continues. The linear layers, where nearly all the work is, then see as
many rows as there are real tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Places:
    """Where each token of a packed row belongs.

    Attributes:
        sequence: ``[tokens]`` number of the sequence.
        position: ``[tokens]`` position in the sequence, the tokens it continues counted.
    """

    sequence: Tensor
    position: Tensor

    @classmethod
    def of(
        cls, spans: Sequence[tuple[int, int]], device: torch.device, *, number: int = 0
    ) -> Places:
        """Places of sequences laid out in order.

        Args:
            spans: first position and length of each sequence.
            device: where the tensors lie.
            number: of the first sequence; the others count on.
        """
        lengths = torch.tensor([length for _, length in spans], dtype=torch.long)
        numbers = torch.arange(number, number + len(spans))
        ranges = [torch.arange(first, first + length) for first, length in spans]
        position = torch.cat([torch.empty(0, dtype=torch.long), *ranges])
        return cls(numbers.repeat_interleave(lengths).to(device), position.to(device))

    def __len__(self) -> int:
        return len(self.position)

    def then(self, later: Places) -> Places:
        """These places, and behind them those."""
        return Places(
            torch.cat([self.sequence, later.sequence]), torch.cat([self.position, later.position])
        )


def sight(queries: Places, keys: Places, continues: Tensor | None = None) -> Tensor:
    """Which key each query sees: its own sequence's and those it continues, up to its position.

    Args:
        queries: places of the tokens that ask.
        keys: places of the tokens that are there.
        continues: ``[sequences, sequences]`` bool, true where the first continues the second;
            None where no sequence continues another.

    Returns:
        ``[1, queries, keys]`` bool.
    """
    seen = queries.sequence[:, None] == keys.sequence[None]
    if continues is not None:
        seen = seen | continues[queries.sequence][:, keys.sequence]
    return (seen & (keys.position[None] <= queries.position[:, None]))[None]
