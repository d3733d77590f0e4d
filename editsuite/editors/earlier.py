"""The keys of earlier edits at one layer, which later edits must leave as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from editsuite.editors.nullspace import NullSpace


class EarlierKeys:
    """Keys that were written, seen within a null space, and the next edit's solution.

    With the basis ``U`` of the space, the projected keys ``A`` of earlier edits and ``B`` of this
    one, AlphaEdit's solution (Fang et al. 2024, equation 14)

        (P (K_p K_p^T + K K^T) + L2 I)^-1 P K,  P = U U^T

    is ``U [A B] X``, where ``X`` are the columns of ``([A B]^T [A B] + L2 I)^-1`` that belong to
    this edit: a symmetric positive system of as many rows as there are keys, instead of a lopsided
    one of ``d_ff`` rows.

    Args:
        space: the layer's null space.
    """

    def __init__(self, space: NullSpace) -> None:
        self._space = space
        self._waiting: list[Tensor] = []
        self.clear()

    def clear(self) -> None:
        """Forget all keys."""
        self._waiting.clear()
        self._projected = torch.zeros(0, 0, dtype=torch.float64)
        self._gram = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, keys: Tensor) -> None:
        """Keep an edit's keys, ``[d_ff, facts]``; nothing is computed before an edit asks."""
        self._waiting.append(keys)

    def solve(self, keys: Tensor, l2: float) -> Tensor:
        """The solution for an edit's keys, ``[d_ff, facts]`` float64."""
        for earlier in self._waiting:
            self._projected, self._gram = self._with(earlier.double().cpu())
        self._waiting.clear()
        projected, gram = self._with(keys)
        n, own = len(gram), keys.shape[1]
        wanted = torch.zeros(n, own, dtype=torch.float64)
        wanted[n - own :] = torch.eye(own, dtype=torch.float64)
        factor = torch.linalg.cholesky(gram + l2 * torch.eye(n, dtype=torch.float64))
        found: Tensor = self._space.basis @ (projected @ torch.cholesky_solve(wanted, factor))
        return found

    def _with(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Projected keys and their products, with some more keys."""
        more = self._space.basis.T @ keys
        if not self._projected.numel():
            return more, more.T @ more
        cross = self._projected.T @ more
        top = torch.cat([self._gram, cross], dim=1)
        bottom = torch.cat([cross.T, more.T @ more], dim=1)
        return torch.cat([self._projected, more], dim=1), torch.cat([top, bottom])
