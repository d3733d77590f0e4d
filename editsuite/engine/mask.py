"""Which earlier tokens each token sees, as the additive mask that attention takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


def causal_mask(real: Tensor, queries: int | None = None) -> Tensor:
    """Which positions each query sees: itself and the real positions before it.

    Args:
        real: ``[rows, keys]`` bool, false at padding.
        queries: number of last positions that ask; all of them where None.

    Returns:
        ``[rows, queries, keys]`` bool. A padding query sees itself only, which keeps its softmax
        finite; nobody reads its result.
    """
    keys = real.shape[1]
    queries = keys if queries is None else queries
    key_index = torch.arange(keys, device=real.device)
    query_index = key_index[keys - queries :]
    before = key_index[None, :] <= query_index[:, None]
    itself = key_index[None, :] == query_index[:, None]
    return (before[None] & real[:, None, :]) | itself[None]


@dataclass(frozen=True)
class Sight:
    """A mask in the form that attention adds to its scores, made once for all layers of a run.

    Attributes:
        mask: ``[rows, queries, keys]`` bool, true where a query may look.
        distance: ``[rows, queries, keys]`` tokens from key to query.
        dtype: of the additive mask.
    """

    mask: Tensor
    distance: Tensor
    dtype: torch.dtype
    _made: dict[int | None, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls, mask: Tensor, positions: Tensor, key_positions: Tensor | None, dtype: torch.dtype
    ) -> Sight:
        """From a bool mask; without ``key_positions`` a key's column tells the distance."""
        if key_positions is not None:
            return cls(mask, positions[:, :, None] - key_positions[:, None, :], dtype)
        columns = torch.arange(mask.shape[-1], device=mask.device)
        asking = columns[mask.shape[-1] - mask.shape[1] :]
        return cls(mask, (asking[:, None] - columns[None])[None], dtype)

    def within(self, window: int | None) -> Tensor:
        """``[rows, 1, queries, keys]``, 0 where a query looks and the lowest number elsewhere."""
        if window not in self._made:
            seen = self.mask if window is None else self.mask & (self.distance < window)
            zeros = torch.zeros(seen.shape, dtype=self.dtype, device=seen.device)
            lowest = torch.finfo(self.dtype).min
            self._made[window] = zeros.masked_fill(~seen, lowest).unsqueeze(1)
        return self._made[window]
