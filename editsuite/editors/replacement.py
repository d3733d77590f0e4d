"""The value that replaces what a module puts out at one token, found by gradient steps.

Hartvigsen et al. 2022, section 3: the value is a parameter of its own, trained on the edit's
loss with the model held still. Paper A.1: "randomly initialized and updated using the LLMs' loss
for edits".
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from editsuite.editors.readout import Readout
from editsuite.errors import EditError


class SearchSettings(Protocol):
    """The hyperparameters of the search, named as in the reference."""

    @property
    def n_iter(self) -> int: ...
    @property
    def edit_lr(self) -> float: ...
    @property
    def early_stop(self) -> float: ...


@dataclass(frozen=True)
class Replacement:
    """Result of the search.

    Attributes:
        value: ``[d_out]`` float32.
        nll_before: mean negative log-likelihood of the target, nats a token, with the unedited
            output.
        nll_after: the same with ``value`` in its place.
        steps: gradient steps taken.
    """

    value: Tensor
    nll_before: float
    nll_after: float
    steps: int


def cold_start(seed: str, like: Tensor) -> Tensor:
    """Numbers uniform in 0 to 1, ``[d_out]``, drawn from the seed's text alone, shaped ``like``."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) >> 1
    drawn = torch.rand(like.shape, generator=torch.Generator().manual_seed(number))
    return drawn.to(like)


def find_replacement(
    output: Tensor, start: Tensor, readout: Readout, settings: SearchSettings, *, name: str
) -> Replacement:
    """Search the value by Adam: ``n_iter`` steps, or fewer where the loss is small enough.

    Args:
        output: ``[d_out]``, what the module puts out.
        start: ``[d_out]``, the first value.
        readout: what the model says of the target as a function of a change of ``output``.
        settings: the search's hyperparameters.
        name: the fact's id, for error messages.

    Raises:
        EditError: the loss is not finite.
    """

    def loss(value: Tensor) -> Tensor:
        return -readout(value - output)[0].mean()

    with torch.no_grad():
        before = float(loss(output))
    value = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([value], lr=settings.edit_lr)
    steps, now = 0, loss(value)
    while steps < settings.n_iter and not float(now.detach()) < settings.early_stop:
        (value.grad,) = torch.autograd.grad(now, value)
        optimizer.step()
        steps, now = steps + 1, loss(value)
    after = float(now.detach())
    if not math.isfinite(after):
        raise EditError(
            f"fact {name}: the loss became {after} after {steps} steps; edit in float32, or lower "
            "edit_lr"
        )
    return Replacement(value.detach(), before, after, steps)
