"""Sums over the entries of a matrix before and after, in float64, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Entries that are held in float64 at a time: 8 MiB of them.
BLOCK = 1 << 20


@dataclass(frozen=True)
class Moments:
    """Sums over the entries ``w`` before and ``v`` after, from which all ratios follow.

    Attributes:
        n: number of entries.
        mean: of ``w``.
        mean_after: of ``v``.
        squares: sum of ``(w - mean)^2``.
        squares_after: sum of ``(v - mean_after)^2``.
        products: sum of ``(w - mean) (v - mean_after)``.
        change: sum of ``(v - w)^2``, not centred.
    """

    n: int
    mean: float
    mean_after: float
    squares: float
    squares_after: float
    products: float
    change: float

    @property
    def correlation(self) -> float:
        """Pearson's r; NaN where either side is constant or not finite."""
        # Two roots, because a product of squares may overflow; where nothing moved they need not
        # be rounded twice.
        spread = math.sqrt(self.squares) * math.sqrt(self.squares_after)
        if self.squares == self.squares_after:
            spread = self.squares
        found = _ratio(self.products, spread)
        # Rounding may carry it past its bounds by some last bits.
        return found if math.isnan(found) else min(1.0, max(-1.0, found))

    @property
    def norm(self) -> float:
        """Frobenius norm before."""
        return math.sqrt(self.squares + self.n * self.mean * self.mean)

    @property
    def norm_after(self) -> float:
        """Frobenius norm after."""
        return math.sqrt(self.squares_after + self.n * self.mean_after * self.mean_after)

    @property
    def drift(self) -> float:
        """Frobenius norm of the change over that of the matrix before."""
        return _ratio(math.sqrt(self.change), self.norm)

    @property
    def norm_ratio(self) -> float:
        """Frobenius norm after over that before."""
        return _ratio(self.norm_after, self.norm)


def moments(original: Tensor, current: Tensor, block: int = BLOCK) -> Moments:
    """Moments of a matrix before and after, both of one shape and any dtype.

    Two passes, the means first: sums of centred squares do not cancel. Nothing larger than
    a block is made; NaN and infinity go through to the ratios.

    Args:
        original: before.
        current: after.
        block: entries to hold in float64 at a time.
    """
    n = original.numel()
    total = after = 0.0
    for w, v in _blocks(original, current, block):
        total += float(w.sum())
        after += float(v.sum())
    mean, mean_after = total / n, after / n
    squares = squares_after = products = change = 0.0
    for w, v in _blocks(original, current, block):
        change += float((v - w).square().sum())
        w, v = w - mean, v - mean_after
        squares += float((w * w).sum())
        squares_after += float((v * v).sum())
        products += float((w * v).sum())
    return Moments(n, mean, mean_after, squares, squares_after, products, change)


def together(parts: Sequence[Moments]) -> Moments:
    """Moments of several matrices, their entries taken as one long vector.

    Means and centred sums are joined as in Chan, Golub and LeVeque 1983 (The American
    Statistician 37, 242), so that nothing cancels.
    """
    n = sum(p.n for p in parts)
    mean = sum(p.n * p.mean for p in parts) / n
    after = sum(p.n * p.mean_after for p in parts) / n
    # Products instead of powers: a power that overflows is an error, a product is infinite.
    off = [(p.mean - mean, p.mean_after - after) for p in parts]
    return Moments(
        n,
        mean,
        after,
        sum(p.squares + p.n * x * x for p, (x, _) in zip(parts, off, strict=True)),
        sum(p.squares_after + p.n * y * y for p, (_, y) in zip(parts, off, strict=True)),
        sum(p.products + p.n * x * y for p, (x, y) in zip(parts, off, strict=True)),
        sum(p.change for p in parts),
    )


def _blocks(a: Tensor, b: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Two matrices in blocks of whole rows, in float64."""
    rows = max(1, size // max(1, a[0].numel()))
    for x, y in zip(torch.split(a, rows), torch.split(b, rows), strict=True):
        yield x.to(torch.float64), y.to(torch.float64)


def _ratio(a: float, b: float) -> float:
    """``a / b`` as IEEE has it: infinite over 0, NaN where there is nothing to say."""
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)
    return a / b
