"""What AlphaEdit keeps from one edit to the next, beside the weights.

It sums ``K K^T`` over the keys of all edits so far, in a global that no journal knows. Here the
sum belongs to the weights that its edits led to, so that it cannot meet others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from editsuite.editors.change import add
from editsuite.editors.protocol import Update
from editsuite.errors import EditError


class Memory:
    """The sums of one chain, in this process.

    Args:
        unedited: the weights before the first edit, float32.
    """

    def __init__(self, unedited: Mapping[str, Tensor]) -> None:
        self.projection: Tensor | None = None
        self._start = _digest(unedited)
        self._last: tuple[str, Tensor] | None = None

    def at(self, weights: Mapping[str, Tensor]) -> Tensor | None:
        """The sum that belongs to these weights; None for the unedited ones.

        Raises:
            EditError: the edits in these weights were made by another process.
        """
        digest = _digest(weights)
        if digest == self._start:
            return None
        if self._last is None or self._last[0] != digest:
            raise EditError(
                "AlphaEdit sums up keys of all edits so far in memory, and those of the edits "
                "that are kept here are gone with the process that made them; remove the chain's "
                "folder and make it in one process (pytest -n 0), or use the suite's own method"
            )
        return self._last[1]

    def keep(
        self, main: Any, weights: Mapping[str, Tensor], update: Update, *, transposed: bool
    ) -> None:
        """Keep what an edit left in the module, for the weights that its update leads to."""
        after = {name: weight.clone() for name, weight in weights.items()}
        for name, change in update.factors.items():
            add(after[name], change, transposed=transposed)
        self.projection = main.P
        self._last = _digest(after), main.cache_c.clone()


def _digest(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
