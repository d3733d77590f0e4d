"""Sequences that are continued together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from editsuite.engine.batch import positions_of
from editsuite.engine.grouped import grouped
from editsuite.engine.mask import causal_mask
from editsuite.engine.prefill import Filled
from editsuite.engine.room import Room
from editsuite.engine.stack import DecoderStack

#: How much wider than the longest sequence the columns may get.
WIDEST = 1.25


class Decoding:
    """Rows that are continued together, by as many tokens a step as are given.

    Args:
        stack: the model in its present state.
    """

    def __init__(self, stack: DecoderStack) -> None:
        self._stack = stack
        self._room = Room(stack.depth)
        self._real = torch.zeros(0, 0, dtype=torch.bool, device=stack.device)
        # Of every column, the position of its token in the row's sequence.
        self._places = self._real.long()

    def held_with(self, part: Filled, rows: int) -> int:
        """Tokens whose keys and values would be held with ``rows`` of a part's besides."""
        return (self._room.rows + rows) * max(self._room.columns, part.real.shape[1])

    def join(self, part: Filled, rows: Sequence[int]) -> None:
        """Add some of the prompts that were run, behind the rows there are."""
        self._room.join(part.cache, rows)
        real = part.real[list(rows)]
        self._real = _at_the_right(self._real, real)
        self._places = _at_the_right(self._places, positions_of(real))

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drop the sequences that are finished.

        Args:
            rows: those that stay, in ascending order.

        Returns:
            The same in the order in which they stand from now on.
        """
        order = self._room.keep(rows)
        self._real, self._places = self._real[order], self._places[order]
        return order

    def step(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Run further tokens of every row; `settle` must follow.

        Args:
            tokens: the same number for each row.

        Returns:
            The states leaving the last layer, ``[rows, tokens, hidden]``.
        """
        stack = self._stack
        ids = torch.tensor(tokens, device=stack.device)
        new = torch.arange(1, ids.shape[1] + 1, device=stack.device)
        positions = self._places.max(dim=1, keepdim=True).values + new
        self._real = torch.cat([self._real, torch.ones_like(ids, dtype=torch.bool)], dim=1)
        self._places = torch.cat([self._places, positions], dim=1)
        with grouped(stack.loaded.model):
            return stack.run(
                stack.embed(ids, positions),
                start=0,
                stop=stack.depth,
                positions=positions,
                mask=causal_mask(self._real, queries=ids.shape[1]),
                key_positions=self._places,
                cache=self._room,
                queries=torch.zeros_like(ids, dtype=torch.bool),
            )

    def settle(self, numbers: Sequence[int]) -> None:
        """Say how many of the tokens just run each row keeps; the others are forgotten."""
        width = self._real.shape[1] - self._room.columns
        self._room.fill(width)
        kept = torch.tensor(numbers, device=self._real.device)[:, None]
        if int(kept.min()) < width:
            stays = torch.arange(width, device=kept.device) < kept
            self._real[:, -width:] = stays
            self._places[:, -width:] *= stays
        fullest = int(self._real.sum(dim=1).max())
        if self._room.columns > WIDEST * fullest:
            self._pack(fullest)

    def _pack(self, width: int) -> None:
        """Leave out columns that hold nothing, each row its own."""
        order = self._real.long().argsort(dim=1, stable=True)[:, -width:]
        self._room.pack(order)
        self._real, self._places = (t.gather(1, order) for t in (self._real, self._places))


def _at_the_right(above: Tensor, below: Tensor) -> Tensor:
    width = max(above.shape[1], below.shape[1])
    return torch.cat([pad(rows, (width - rows.shape[1], 0)) for rows in (above, below)])
