"""A change of a weight: how large it is, and how it is put on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from editsuite.editors.protocol import Change, Dense


def steps(change: Change) -> Iterator[Tensor]:
    """A change as matrices to be added one after another, ``[d_out, d_in]`` each."""
    if isinstance(change, Dense):
        yield change.delta
        return
    for column in range(change.output.shape[1]):
        # A product and then a sum: one fused step would round otherwise on another device.
        yield torch.outer(change.output[:, column], change.input[:, column])


def norm_of(change: Change) -> float:
    """Frobenius norm; of factors without making their product."""
    if isinstance(change, Dense):
        return float(change.delta.double().norm())
    left, right = (f.double().T @ f.double() for f in (change.output, change.input))
    return float((left * right).sum().clamp(min=0).sqrt())


def add(total: Tensor, change: Change, *, transposed: bool) -> None:
    """Add a change to a weight in place.

    Args:
        total: the weight, or its float32 sum.
        change: the change, in the map's own orientation.
        transposed: whether the weight is stored ``[d_in, d_out]``.
    """
    for step in steps(change):
        here = step.to(total.device)
        total.add_(here.T if transposed else here)
