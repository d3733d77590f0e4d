"""Singular values of edited matrices and of their changes, without a float64 copy of either."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from editsuite.measures.protocol import Factors


def singular_values(blocks: Iterable[Tensor]) -> Tensor:
    """Singular values of a matrix that is given in blocks of rows.

    The rows are taken in one block after another, and only R of ``Q R`` is kept (the sequential
    TSQR of Demmel, Grigori, Hoemmen and Langou 2012, SIAM Journal on Scientific Computing 34,
    A206). R has the matrix's singular values, and every step is backward stable: small ones
    are as exact as those of the whole, which a sum of squares would lose.

    Args:
        blocks: ``[rows, columns]`` each, of any dtype.

    Returns:
        Descending, float64; all NaN where an entry is not finite.
    """
    upper: Tensor | None = None
    for block in blocks:
        rows = block.to(torch.float64)
        if upper is not None:
            rows = torch.cat([upper, rows])
        if not bool(torch.isfinite(rows).all()):
            return torch.full((rows.shape[1],), math.nan, dtype=torch.float64)
        upper = torch.linalg.qr(rows, mode="r").R
    if upper is None:
        raise ValueError("a matrix without rows has no singular values")
    found: Tensor = torch.linalg.svdvals(upper)
    return found


def rows_of(weight: Tensor, rows: int | None = None) -> Iterator[Tensor]:
    """A matrix in blocks of rows, turned so that it has no fewer rows than columns.

    Args:
        weight: ``[m, n]``.
        rows: rows of a block; as many as columns where None, so that R and a block are square.
    """
    tall = weight if weight.shape[0] >= weight.shape[1] else weight.T
    yield from torch.split(tall, rows or tall.shape[1])


def change_rows(original: Tensor, current: Tensor, rows: int | None = None) -> Iterator[Tensor]:
    """The change of a matrix in blocks of rows, in float64, as ``rows_of`` turns it."""
    for before, after in zip(rows_of(original, rows), rows_of(current, rows), strict=True):
        yield after.to(torch.float64) - before.to(torch.float64)


def spectral_norm_of(factors: Sequence[Factors]) -> float:
    """Largest singular value of ``sum_i left_i right_i^T``, without making the sum.

    With ``left = Q R`` and ``right = P S`` of all factors side by side it is that of ``R S^T``,
    which has as many rows and columns as the sum has rank.

    Args:
        factors: pairs ``[m, r_i]``, ``[n, r_i]``; r may be 0.
    """
    if not factors:
        return 0.0
    left, right = stacked(factors)
    core = torch.linalg.qr(left, mode="r").R @ torch.linalg.qr(right, mode="r").R.T
    if not bool(torch.isfinite(core).all()):
        return math.nan
    return float(torch.linalg.svdvals(core)[0]) if core.numel() else 0.0


def stacked(factors: Sequence[Factors]) -> tuple[Tensor, Tensor]:
    """All factors side by side in float64, ``[m, R]`` and ``[n, R]``, on the first one's device."""
    device = factors[0][0].device
    left, right = (
        torch.cat([side.to(device, torch.float64) for side in sides], dim=1)
        for sides in zip(*factors, strict=True)
    )
    return left, right


def condition(values: Tensor, shape: Sequence[int]) -> float:
    """Condition number in the 2-norm, from singular values; a singular matrix has ``inf``.

    A matrix counts as singular where its least singular value is no larger than what rounding
    leaves of a zero one: ``max(shape) eps`` times the largest, eps that of float64
    (``numpy.linalg.matrix_rank``'s rule).

    Args:
        values: descending, float64, as many as the shorter side.
        shape: of the matrix.
    """
    largest, least = float(values[0]), float(values[-1])
    if math.isnan(largest) or math.isnan(least):
        return math.nan
    if least <= largest * max(shape) * torch.finfo(torch.float64).eps:
        return math.inf
    return largest / least
