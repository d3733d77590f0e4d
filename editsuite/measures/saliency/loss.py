"""The task's loss: which of the label words comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LabelLoss:
    """Cross entropy over the label words' tokens alone, as in Wang et al. 2023.

    A model that is sure of the right word has a gradient too small for float32, though its
    direction is well known. So gradients are taken of the loss over its ``scale``, the largest
    entry of its gradient by the logits, and what is found is multiplied by it.

    Attributes:
        labels: the tokens to choose between.
        right: index of the right one.
    """

    labels: Sequence[int]
    right: int

    def value(self, logits: Tensor) -> float:
        """The loss, in nats, from ``[vocab]`` logits."""
        return -float(self._log_shares(logits)[self.right])

    def scale(self, logits: Tensor) -> float:
        """The largest entry of its gradient: the probability of the wrong label words."""
        # Summed from the others and not 1 less its own, which would be rounded off.
        others = [i for i in range(len(self.labels)) if i != self.right]
        return float(torch.logsumexp(self._log_shares(logits)[others], dim=0).exp())

    def direction(self, logits: Tensor) -> Tensor:
        """The gradient by the logits over ``scale``, ``[vocab]`` in the logits' dtype."""
        log_shares = self._log_shares(logits)
        others = [i for i in range(len(self.labels)) if i != self.right]
        found = torch.full_like(log_shares, -1.0)
        found[others] = torch.softmax(log_shares[others], dim=0)
        whole = torch.zeros(len(logits), dtype=torch.float64)
        whole[list(self.labels)] = found
        return whole.to(logits)

    def _log_shares(self, logits: Tensor) -> Tensor:
        return torch.log_softmax(logits[list(self.labels)].cpu().double(), dim=0)
