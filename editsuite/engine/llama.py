"""A layer of the Llama kind written out, with the gradient of its input alone.

torch's autograd runs a dozen small operations for a norm or a rotation, forward and backward, and
with few rows these cost as much as half of the matrix products. Written out by hand they are a
few. The weights are read in place; nothing is kept but references.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaDecoderLayer
from transformers.models.mistral.modeling_mistral import MistralDecoderLayer
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

from editsuite.engine.attention import Attended, Attention
from editsuite.engine.linear import Product

#: Layers whose forward pass is the one below, and nothing more.
KINDS = (LlamaDecoderLayer, MistralDecoderLayer, Qwen2DecoderLayer)


class Norm:
    """Root mean square norm (Llama's), ``weight * x / rms(x)``."""

    def __init__(self, module: Any) -> None:
        self.weight: Tensor = module.weight.detach()
        self.eps: float = module.variance_epsilon

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The normed rows of ``[tokens, hidden]``, and what ``backward`` needs."""
        inverse = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        unit = x * inverse
        return unit * self.weight, (unit, inverse)

    def backward(self, grad: Tensor, had: tuple[Tensor, Tensor]) -> Tensor:
        """The gradient of the input."""
        unit, inverse = had
        grad = grad * self.weight
        along = (grad * unit).mean(-1, keepdim=True)
        return torch.addcmul(grad, unit, along, value=-1).mul_(inverse)


@dataclass(frozen=True)
class Rotation:
    """Rotary position embedding of ``[tokens, heads, head]``.

    Attributes:
        cos: ``[tokens, 1, head]``.
        there: what a head with its halves exchanged is multiplied with, forward.
        back: the same, backward.
    """

    cos: Tensor
    there: Tensor
    back: Tensor

    @classmethod
    def of(cls, cos: Tensor, sin: Tensor) -> Rotation:
        """From a rotary module's ``[tokens, head]`` tables."""
        half = sin.shape[-1] // 2
        there = torch.cat([-sin[:, :half], sin[:, half:]], dim=-1)
        back = torch.cat([sin[:, half:], -sin[:, :half]], dim=-1)
        return cls(cos[:, None], there[:, None], back[:, None])

    def rows(self, rows: Tensor) -> Rotation:
        """The rotation of some of the tokens."""
        return Rotation(self.cos[rows], self.there[rows], self.back[rows])

    def forward(self, x: Tensor) -> Tensor:
        """Rotate."""
        return torch.addcmul(x * self.cos, _exchanged(x), self.there)

    def backward(self, grad: Tensor) -> Tensor:
        """Rotate back."""
        return torch.addcmul(grad * self.cos, _exchanged(grad), self.back)


def _exchanged(x: Tensor) -> Tensor:
    halves = x.view(*x.shape[:-1], 2, x.shape[-1] // 2)
    return halves.flip(-2).flatten(-2)


@dataclass(frozen=True)
class Passed:
    """What a layer's gradient needs of its forward pass."""

    first: tuple[Tensor, Tensor]
    attended: Attended
    second: tuple[Tensor, Tensor]
    gate: Tensor
    up: Tensor


@dataclass(frozen=True)
class Round:
    """One layer's surroundings in a pass.

    Attributes:
        attention: who asks whom.
        prefix: keys and values of the earlier positions.
        rotation: of the keys.
        asking: rotation of the queries.
        rows: ``[asking tokens]`` which tokens go on, None for all; the others serve as keys only.
    """

    attention: Attention
    prefix: tuple[Tensor, Tensor]
    rotation: Rotation
    asking: Rotation
    rows: Tensor | None


class LlamaLayer:
    """One layer, by reference.

    Args:
        layer: one of ``KINDS``.
        product: how to multiply.
    """

    def __init__(self, layer: Any, product: Product) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._product = product
        self._head: int = attention.head_dim
        self._norms = Norm(layer.input_layernorm), Norm(layer.post_attention_layernorm)
        self._q, self._k, self._v = (
            _weights(getattr(attention, name)) for name in ("q_proj", "k_proj", "v_proj")
        )
        self._o = _weights(attention.o_proj)
        self._gate, self._up, self._down = (
            _weights(getattr(mlp, name)) for name in ("gate_proj", "up_proj", "down_proj")
        )

    def forward(self, x: Tensor, at: Round) -> tuple[Tensor, Passed]:
        """``[tokens, hidden]`` to ``[asking tokens, hidden]``, and what ``backward`` needs."""
        normed, first = self._norms[0].forward(x)
        key = at.rotation.forward(self._heads(normed, self._k))
        value = self._heads(normed, self._v)
        if at.rows is not None:
            normed, x = normed[at.rows], x[at.rows]
        query = at.asking.forward(self._heads(normed, self._q))
        mixed, attended = at.attention.forward(query, key, value, at.prefix)
        x = x + self._product(mixed.flatten(1), *self._o)
        normed, second = self._norms[1].forward(x)
        gate, up = self._product(normed, *self._gate), self._product(normed, *self._up)
        out = x + self._product(nn.functional.silu(gate) * up, *self._down)
        return out, Passed(first, attended, second, gate, up)

    def backward(self, grad: Tensor, had: Passed, at: Round) -> Tensor:
        """The gradient of ``x``, ``[tokens, hidden]``."""
        product = self._back(grad, self._down)
        gate = torch.ops.aten.silu_backward(product * had.up, had.gate)
        up = product.mul_(nn.functional.silu(had.gate))
        inner = self._back(gate, self._gate).add_(self._back(up, self._up))
        grad = grad + self._norms[1].backward(inner, had.second)
        mixed = self._apart(self._back(grad, self._o))
        query, key, value = at.attention.backward(mixed, had.attended)
        asking = self._back(at.asking.backward(query).flatten(1), self._q)
        inner = self._back(at.rotation.backward(key).flatten(1), self._k)
        inner += self._back(value.flatten(1), self._v)
        if at.rows is None:
            return grad.add_(self._norms[0].backward(inner.add_(asking), had.first))
        inner.index_add_(0, at.rows, asking)
        return self._norms[0].backward(inner, had.first).index_add_(0, at.rows, grad)

    def _heads(self, x: Tensor, weights: tuple[Tensor, Tensor | None]) -> Tensor:
        return self._apart(self._product(x, *weights))

    def _apart(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1, self._head)

    def _back(self, grad: Tensor, weights: tuple[Tensor, Tensor | None]) -> Tensor:
        return self._product(grad, weights[0].t(), None)


def _weights(linear: nn.Linear) -> tuple[Tensor, Tensor | None]:
    return linear.weight.detach(), None if linear.bias is None else linear.bias.detach()
