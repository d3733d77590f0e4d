"""Matrix products of a model's linear layers by oneDNN, where that is faster and as exact.

An edit multiplies few rows (a few dozen) with large matrices, forward and backward, hundreds of
times. torch sends float32 products on a CPU to MKL, which on some processors reaches two thirds
of what oneDNN reaches at this size, and whose last bits depend on the number of threads and, for
few rows, on how many rows there are. oneDNN's do not, and it reads the same weights in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from transformers.pytorch_utils import Conv1D

#: ``x @ weight.T + bias``.
Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def threads_keep_bits() -> bool:
    """Whether products come out bit for bit alike on any number of threads.

    They do by oneDNN, and a build of torch without it has no fast product either.
    """
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if x.numel() > x.shape[-1]:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return out
    # A single row would take another kernel, with other last bits; so it gets a companion.
    pair = _product(x.reshape(1, -1).expand(2, -1).contiguous(), weight, bias)
    return pair[0].reshape(*x.shape[:-1], -1)


class _Product(torch.autograd.Function):
    """``x @ weight.T + bias`` with a gradient for ``x`` alone."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return _product(grads[0].contiguous(), weight.t(), None), None, None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias``, ``[..., in]`` to ``[..., out]``.

    Whoever wants a gradient for the weight gets torch's own product.
    """
    if not x.numel():
        return nn.functional.linear(x, weight, bias)
    if not torch.is_grad_enabled():
        return _product(x, weight, bias)
    if weight.requires_grad or (bias is not None and bias.requires_grad):
        return nn.functional.linear(x, weight, bias)
    if not x.requires_grad:
        return _product(x, weight, bias)
    out: Tensor = _Product.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return out


def frozen_product(model: nn.Module) -> Product:
    """The product for weights that get no gradient: oneDNN's, or torch's where that is not."""
    if threads_keep_bits() and _plain_float32(model):
        return lambda x, weight, bias: _product(x.contiguous(), weight, bias)
    return nn.functional.linear


class _Linear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class _Conv1D(Conv1D):
    """GPT-2's linear layer, which keeps its weight transposed."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight.t(), self.bias)


_FAST: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: _Linear, Conv1D: _Conv1D}


class Linears:
    """The linear layers of a model, switched to oneDNN while the engine runs them.

    Args:
        modules: all modules of the model; those that are no linear layer in float32 on a CPU
            stay as they are.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._own = [
            (module, type(module), _FAST[type(module)])
            for module in modules
            if type(module) in _FAST and threads_keep_bits() and _plain_float32(module)
        ]

    @contextmanager
    def fast(self) -> Iterator[None]:
        """Within, the layers multiply by oneDNN; after, they are what they were."""
        for module, _, fast in self._own:
            module.__class__ = fast
        try:
            yield
        finally:
            for module, own, _ in self._own:
                module.__class__ = own


def _plain_float32(module: nn.Module) -> bool:
    return all(p.dtype is torch.float32 and p.device.type == "cpu" for p in module.parameters())
