"""Keys and values of sequences that are continued, written in place."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from editsuite.engine.cache import LayerCache

#: Columns by which full room grows.
MORE = 64


class Room:
    """Keys and values by layer, in the form that transformers' layers ask for.

    A cache that grows by joining tensors copies all it holds at every token. This one has empty
    columns behind the filled ones, and rows for sequences to come.

    Args:
        layers: number of layers.

    Attributes:
        rows: number of sequences.
        columns: number of filled columns; shorter sequences end at the same one.
    """

    def __init__(self, layers: int) -> None:
        self._layers: list[list[Tensor]] = [[] for _ in range(layers)]
        self.rows = self.columns = 0

    def join(self, cache: LayerCache, rows: Sequence[int]) -> None:
        """Add some of the sequences that were run. Their tensors are taken from ``cache``."""
        first, number = self.rows, self.rows + len(rows)
        columns = self.columns
        for layer, held in enumerate(self._layers):
            pair = [tensor[list(rows)] for tensor in cache.take(layer)]
            if not held:
                held += [tensor[:0, :, :0] for tensor in pair]
            columns = max(self.columns, pair[0].shape[2])
            for which, new in enumerate(pair):
                if number > len(held[which]) or columns > self.columns:
                    held[which] = self._roomier(held[which], number, columns)
                held[which][first:number, :, columns - new.shape[2] : columns] = new
        self.rows, self.columns = number, columns

    def _roomier(self, held: Tensor, rows: int, columns: int) -> Tensor:
        """The filled part at the right edge of as many columns, with rows to spare."""
        spare = max(rows, len(held), self.rows * 3 // 2)
        room = _empty(held, spare, columns + MORE)
        filled = held[: self.rows, :, : self.columns]
        room[: self.rows, :, columns - self.columns : columns] = filled
        return room

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Put new keys and values, ``[rows, heads, new, head_dim]``, behind the filled columns.

        Gives the filled columns and the new ones, which count as filled after `fill`.
        """
        end = self.columns + key_states.shape[2]
        held = self._layers[layer_idx]
        for which, new in enumerate((key_states, value_states)):
            if end > held[which].shape[2]:
                wider = _empty(held[which], len(held[which]), end + MORE)
                wider[: self.rows, :, : self.columns] = held[which][: self.rows, :, : self.columns]
                held[which] = wider
            held[which][: self.rows, :, self.columns : end] = new
        keys, values = (tensor[: self.rows, :, :end] for tensor in held)
        return keys, values

    def fill(self, columns: int) -> None:
        """Count columns that were written in every layer as filled."""
        self.columns += columns

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drop sequences; gives those of ``rows`` in the order in which they stand now.

        Few are moved: one that stood behind takes the place of one that is dropped.
        """
        stay = set(rows)
        behind = [row for row in rows if row >= len(rows)]
        order = [row if row in stay else behind.pop() for row in range(len(rows))]
        for held in self._layers:
            for tensor in held:
                for place, row in enumerate(order):
                    if place != row:
                        tensor[place] = tensor[row]
        self.rows = len(order)
        return order

    def pack(self, columns: Tensor) -> None:
        """Keep ``columns`` of each row only, ``[rows, columns]``, in that order."""
        for held in self._layers:
            for which, tensor in enumerate(held):
                wide = columns[:, None, :, None].expand(-1, tensor.shape[1], -1, tensor.shape[3])
                room = _empty(tensor, len(tensor), columns.shape[1] + MORE)
                room[: self.rows, :, : columns.shape[1]] = tensor[: self.rows].gather(2, wide)
                held[which] = room
        self.columns = columns.shape[1]


def _empty(like: Tensor, rows: int, columns: int) -> Tensor:
    # Zeros and not whatever lies there: what nobody looks at must still be finite.
    return like.new_zeros(rows, like.shape[1], columns, like.shape[3])
