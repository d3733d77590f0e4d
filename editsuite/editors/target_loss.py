"""The loss of targets as a function of a change of one down projection, and its gradient.

The edited map is linear and its output is added to the residual stream, so the layers below run
once; a change ``delta`` of the map moves the states that leave its layer by ``keys @ delta.T``,
and its gradient is the outer product of what comes back there with the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.editors.lookup import caught
from editsuite.editors.readout import open_tail
from editsuite.engine import Asked, DecoderStack, LayerCache, Places, states_entering
from editsuite.engine.linear import Product
from editsuite.facts import TokenizedTarget


@dataclass(frozen=True)
class TargetLoss:
    """Some of the facts, packed into one row, with all that no step changes.

    Attributes:
        keys: ``[tokens, d_ff]`` float32 inputs of the edited map.
        hidden: ``[tokens, hidden]`` states leaving the edited layer, without a change.
        tail: the layers above.
        weights: ``[targets]`` weight of each target token within its fact.
        last: the last target token's id, which ``tail`` does not know of.
        product: ``x @ w.T``.
    """

    keys: Tensor
    hidden: Tensor
    tail: Callable[[Tensor], tuple[Tensor, Tensor]]
    weights: Tensor
    last: int
    product: Product

    @classmethod
    def of(
        cls, stack: DecoderStack, layer: int, rows: Sequence[TokenizedTarget], objective: str
    ) -> TargetLoss:
        """Run the layers below the change once."""
        alone = objective == "prompt_last"
        inputs = [row.context_ids if alone else row.ids[:-1] for row in rows]
        places = Places.of([(0, len(ids)) for ids in inputs], stack.device)
        keys, hidden = _below(
            stack, layer, torch.tensor(sum(inputs, ()), device=stack.device), places
        )
        read: list[int] = []
        start = 0
        for row, ids in zip(rows, inputs, strict=True):
            first = start + len(row.context_ids) - 1
            read += [first + (0 if alone else i) for i in range(len(row.target_ids))]
            start += len(ids)
        targets = [token for row in rows for token in row.target_ids]
        asked = Asked(
            places,
            torch.tensor(read, device=stack.device),
            torch.tensor(targets[:-1], dtype=torch.long, device=stack.device),
        )
        none = Places.of([(0, 0)] * len(rows), stack.device)
        tail = open_tail(stack, layer + 1, asked, none, LayerCache(grow=False))
        weights = [1 / len(row.target_ids) for row in rows for _ in row.target_ids]
        return cls(
            keys,
            hidden,
            tail,
            torch.tensor(weights, device=stack.device),
            targets[-1],
            stack.product,
        )

    def loss(self, delta: Tensor) -> tuple[float, Tensor]:
        """Sum over facts of the mean negative log-likelihood, and its gradient by ``delta``."""
        moved = self.hidden + self.product(self.keys, delta, None).to(self.hidden.dtype)
        moved.requires_grad_()
        log_probs, last = self.tail(moved)
        loss = -(torch.cat([log_probs, last[self.last : self.last + 1]]) * self.weights).sum()
        (back,) = torch.autograd.grad(loss, moved)
        return float(loss.detach()), self.product(back.float().T, self.keys.T, None)


def _below(stack: DecoderStack, layer: int, ids: Tensor, places: Places) -> tuple[Tensor, Tensor]:
    """Keys and states of the edited layer, ``[tokens, ...]`` of a packed row."""
    module = stack.layers[layer].get_submodule(stack.loaded.family.down_proj)
    with caught(module, inputs=True) as keys:
        hidden = states_entering(stack, ids, places, layer + 1)
    return keys[0][0].float(), hidden
