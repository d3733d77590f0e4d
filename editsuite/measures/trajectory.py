"""The whole curve of the paper's Figure 6, from the factors of the edits alone.

``W_t = W + sum_{i <= t} left_i right_i^T``. With ``u_k, v_k`` the columns of all factors,
``<W, u_k v_k^T> = u_k^T W v_k``, ``<u_k v_k^T, u_l v_l^T> = (u_k . u_l) (v_k . v_l)``, and the sum
of the entries of ``u_k v_k^T`` is ``(1 . u_k) (1 . v_k)``. So what is needed at every t are partial
sums over these, and no state of the model has to be put on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from editsuite.measures.moments import Moments, moments
from editsuite.measures.protocol import Factors
from editsuite.measures.spectrum import stacked


def trajectory(original: Tensor, factors: Sequence[Factors]) -> tuple[Moments, ...]:
    """Moments of a matrix before any edit and after each of them, after the first one first.

    These are the exact sums; a weight is a rounded one. Partial sums can cancel: where the edits
    take each other back, the change is exact to ``eps`` of the squares that were added, not of
    what is left.

    Args:
        original: ``[m, n]``, the unedited matrix.
        factors: of every edit in order, ``[m, r]`` and ``[n, r]``; r may be 0.
    """
    start = moments(original, original)
    if not factors:
        return ()
    u, v = (side.to(original.device) for side in stacked(factors))
    ends = torch.tensor([left.shape[1] for left, _ in factors], device=u.device).cumsum(0)
    changes = _first(((u.T @ u) * (v.T @ v)).cumsum(0).cumsum(1).diagonal(), ends)
    products = _first((u * _times(original, v)).sum(dim=0).cumsum(0), ends)
    sums = _first((u.sum(dim=0) * v.sum(dim=0)).cumsum(0), ends)
    numbers = zip(changes.tolist(), products.tolist(), sums.tolist(), strict=True)
    return tuple(_moved(start, *parts) for parts in numbers)


def _moved(start: Moments, change: float, product: float, total: float) -> Moments:
    """Moments after a change ``D``, from ``|D|^2``, ``<W, D>`` and the sum of its entries."""
    mean = total / start.n
    along = product - start.mean * total
    squares = start.squares + 2 * along + change - total * mean
    return Moments(
        start.n,
        start.mean,
        start.mean + mean,
        start.squares,
        _no_less(squares),
        start.squares + along,
        _no_less(change),
    )


def _first(sums: Tensor, ends: Tensor) -> Tensor:
    """Of sums over the first 1, 2, ... columns, those over the first ``ends``."""
    return torch.cat([sums.new_zeros(1), sums])[ends]


def _times(weight: Tensor, right: Tensor) -> Tensor:
    """``weight @ right`` in float64, by blocks of the weight's rows."""
    blocks = torch.split(weight, max(1, weight.shape[1]))
    return torch.cat([block.to(torch.float64) @ right for block in blocks])


def _no_less(x: float) -> float:
    """A square that rounding carried below 0 is 0; NaN stays."""
    return 0.0 if x < 0 else x
