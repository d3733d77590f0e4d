"""Causal attention of packed sequences that each continue an own prefix, with its gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.engine.seats import Seats


@dataclass(frozen=True)
class Attended:
    """What the gradient needs of one attention.

    Attributes:
        queries: ``[sequences * kv_heads, group * query_seats, head]``.
        keys: ``[sequences * kv_heads, prefix + key_seats, head]``, and values alike.
        values: see ``keys``.
        shares: ``[sequences * kv_heads, group * query_seats, prefix + key_seats]`` softmax.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Attention:
    """Who asks whom; the same for all layers with one window.

    Attributes:
        asking: seats of the tokens that ask.
        asked: seats of the tokens whose keys are made here.
        group: query heads for each key head.
        scale: of the scores.
        bias: ``[sequences * kv_heads, group * query_seats, prefix + key_seats]``, 0 where a
            query may look and the lowest number elsewhere.
    """

    asking: Seats
    asked: Seats
    group: int
    scale: float
    bias: Tensor

    @classmethod
    def of(
        cls,
        asking: Seats,
        asked: Seats,
        prefix: Tensor,
        *,
        heads: tuple[int, int],
        scale: float,
        window: int | None,
        dtype: torch.dtype,
    ) -> Attention:
        """From positions.

        Args:
            asking: seats of the tokens that ask.
            asked: seats of the tokens whose keys are made anew.
            prefix: ``[sequences, prefix]`` positions of the keys that are there already; -1 where
                a shorter prefix has none.
            heads: number of query heads and of key heads.
            scale: of the scores.
            window: tokens back that a query sees, itself counted; None for all.
            dtype: of the scores.
        """
        kv_heads, group = heads[1], heads[0] // heads[1]
        there = torch.cat([prefix, asked.position], dim=1)
        distance = asking.position[:, :, None] - there[:, None, :]
        seen = (there[:, None, :] >= 0) & (distance >= 0)
        if window is not None:
            seen &= distance < window
        bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        bias.masked_fill_(~seen, torch.finfo(dtype).min)
        wide = bias[:, None, None].expand(-1, kv_heads, group, -1, -1)
        return cls(asking, asked, group, scale, wide.flatten(0, 1).flatten(1, 2).contiguous())

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, prefix: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Attended]:
        """Attend.

        Args:
            query: ``[asking tokens, query heads, head]``.
            key: ``[asked tokens, key heads, head]``.
            value: as ``key``.
            prefix: keys and values, ``[sequences, key heads, prefix, head]`` each.

        Returns:
            ``[asking tokens, query heads, head]``, and what ``backward`` needs.
        """
        keys = torch.cat([prefix[0], self.asked.spread(key).transpose(1, 2)], dim=2).flatten(0, 1)
        values = torch.cat([prefix[1], self.asked.spread(value).transpose(1, 2)], dim=2)
        values = values.flatten(0, 1)
        queries = self._by_key_head(self.asking.spread(query))
        scores = torch.baddbmm(self.bias, queries, keys.transpose(1, 2), alpha=self.scale)
        shares = scores.softmax(dim=-1)
        out = self._by_token(torch.bmm(shares, values))
        return out, Attended(queries, keys, values, shares)

    def backward(self, grad: Tensor, had: Attended) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of query, key and value, shaped as they were."""
        # Empty seats ask nothing, so no gradient may come from them.
        grads = self._by_key_head(self.asking.spread_zeros(grad))
        by_share = torch.bmm(grads, had.values.transpose(1, 2))
        # torch's own gradient of the softmax has other last bits on another number of threads.
        by_score = by_share.mul_(had.shares)
        by_score.addcmul_(by_score.sum(dim=-1, keepdim=True), had.shares, value=-1)
        by_score *= self.scale
        made = self.asked.width
        query = self._by_token(torch.bmm(by_score, had.keys))
        key = torch.bmm(by_score[:, :, -made:].transpose(1, 2), had.queries)
        value = torch.bmm(had.shares[:, :, -made:].transpose(1, 2), grads)
        return query, self._asked_by_token(key), self._asked_by_token(value)

    def _by_key_head(self, grid: Tensor) -> Tensor:
        """``[sequences, seats, query heads, head]``, a batch for each sequence and key head."""
        number, width, heads, head = grid.shape
        parts = grid.view(number, width, heads // self.group, self.group, head)
        return parts.permute(0, 2, 3, 1, 4).flatten(0, 1).flatten(1, 2)

    def _by_token(self, batches: Tensor) -> Tensor:
        """Back from there: ``[asking tokens, query heads, head]``."""
        seats = self.asking
        parts = batches.view(seats.number, -1, self.group, seats.width, batches.shape[-1])
        return seats.gather(parts.permute(0, 3, 1, 2, 4).flatten(2, 3))

    def _asked_by_token(self, batches: Tensor) -> Tensor:
        parts = batches.view(self.asked.number, -1, self.asked.width, batches.shape[-1])
        return self.asked.gather(parts.transpose(1, 2))
