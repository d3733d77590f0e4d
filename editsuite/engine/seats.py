"""Packed sequences spread over a grid, one row a sequence, for what wants them apart.

Linear layers are cheapest on a packed row, attention is not: every token would be scored against
the tokens of all sequences only to be masked. On the grid it meets its own sequence alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.engine.packing import Places


@dataclass(frozen=True)
class Seats:
    """A seat for each token of a packed row, in a grid of sequences by width.

    Attributes:
        number: sequences.
        width: seats of each; as many as the longest sequence has tokens here.
        seat: ``[tokens]`` the seat of each token, rows of the grid counted through.
        token: ``[number * width]`` the token in each seat; empty seats repeat token 0.
        position: ``[number, width]`` position of each seat's token; -1 where the seat is empty.
    """

    number: int
    width: int
    seat: Tensor
    token: Tensor
    position: Tensor

    @classmethod
    def of(cls, places: Places, number: int) -> Seats:
        """Seats in the order of the packed row, for sequences 0 to ``number - 1``."""
        taken = [0] * number
        columns = []
        for sequence in places.sequence.tolist():
            columns.append(taken[sequence])
            taken[sequence] += 1
        width, device = max(taken, default=0), places.sequence.device
        seat = places.sequence * width + torch.tensor(columns, dtype=torch.long, device=device)
        token = torch.zeros(number * width, dtype=torch.long, device=device)
        token[seat] = torch.arange(len(places), device=device)
        position = torch.full((number * width,), -1, dtype=torch.long, device=device)
        position[seat] = places.position
        return cls(number, width, seat, token, position.view(number, width))

    def spread(self, x: Tensor) -> Tensor:
        """``[tokens, ...]`` on the grid, ``[number, width, ...]``; empty seats hold token 0's."""
        return x.index_select(0, self.token).view(self.number, self.width, *x.shape[1:])

    def spread_zeros(self, x: Tensor) -> Tensor:
        """The same with zeros in the empty seats."""
        grid = x.new_zeros(self.number * self.width, *x.shape[1:]).index_copy_(0, self.seat, x)
        return grid.view(self.number, self.width, *x.shape[1:])

    def gather(self, grid: Tensor) -> Tensor:
        """Back to the packed row: ``[number, width, ...]`` to ``[tokens, ...]``."""
        return grid.flatten(0, 1).index_select(0, self.seat)
