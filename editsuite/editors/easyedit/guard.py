"""What is kept of a model while foreign code runs on it, and given back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from editsuite.cards import LoadedModel
from editsuite.errors import EditError, listing


@contextmanager
def named(loaded: LoadedModel, name: str) -> Iterator[None]:
    """Within, the model goes by another name."""
    model: Any = loaded.model
    before = model.config._name_or_path, model.name_or_path
    model.config._name_or_path = model.name_or_path = name
    try:
        yield
    finally:
        model.config._name_or_path, model.name_or_path = before


@contextmanager
def right_padded(tokenizer: Any) -> Iterator[None]:
    """EasyEdit counts target and subject positions from the left edge of each row."""
    side, pad = tokenizer.padding_side, tokenizer.pad_token
    tokenizer.padding_side = "right"
    try:
        yield
    finally:
        tokenizer.padding_side, tokenizer.pad_token = side, pad


@contextmanager
def flags(model: nn.Module) -> Iterator[None]:
    """Gradients wanted and made, and training mode, as before."""
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    training = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)
            parameter.grad = None
        for module, mode in training:
            module.training = mode


@contextmanager
def tuples(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Layers that show their output to hooks as a tuple, as all did in EasyEdit's first years.

    Hooks of its older release take the first of it, and would take the first row of a tensor. The
    model itself is given what it expects.
    """
    kinds = {type(layer): _tupled(type(layer)) for layer in layers}
    before = [type(layer) for layer in layers]
    for layer, kind in zip(layers, before, strict=True):
        layer.__class__ = kinds[kind]
    try:
        yield
    finally:
        for layer, kind in zip(layers, before, strict=True):
            layer.__class__ = kind


def _tupled(kind: type[nn.Module]) -> type[nn.Module]:
    bare: list[bool] = []  # one for each call that is under way

    def forward(self: Any, *args: Any, **named: Any) -> Any:
        out = kind.forward(self, *args, **named)
        bare[-1] = not isinstance(out, tuple)
        return (out,) if bare[-1] else out

    def call(self: Any, *args: Any, **named: Any) -> Any:
        bare.append(False)
        try:
            out = kind.__call__(self, *args, **named)
        finally:
            was_bare = bare.pop()
        return out[0] if was_bare else out

    return type(kind.__name__, (kind,), {"forward": forward, "__call__": call})


@contextmanager
def weights(model: nn.Module, parameters: Sequence[str]) -> Iterator[None]:
    """Put the named weights back, bit by bit; a change of any other one is an error.

    The others are not kept twice, a large model would not fit; so one that was changed cannot be
    put back. It is filled with NaN, which no check passes, so that nothing goes on with it.
    """
    held = dict(model.named_parameters())
    kept = {name: held[name].detach().clone() for name in parameters}
    others = {name: weight for name, weight in held.items() if name not in kept}
    before = _sums(others)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weight in kept.items():
                held[name].data.copy_(weight)
        after = _sums(others)
        moved = [name for name in others if after[name] != before[name]]
        if moved:
            with torch.no_grad():
                for name in moved:
                    others[name].fill_(torch.nan)
            raise EditError(
                f"EasyEdit changed {listing(moved)}, which the method has not declared; it cannot "
                "be carried. The model in memory is spoilt on purpose (NaN): start anew"
            )


def _sums(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """A number for each weight's bits; a copy of the weights would need the memory of a model.

    Version counters would not do: what is written by way of ``.data`` does not count.
    """
    return {name: _sum(weight.detach()) for name, weight in weights.items()}


def _sum(weight: Tensor) -> int:
    whole = torch.int32 if weight.element_size() == 4 else torch.int16
    return int(weight.contiguous().view(whole).sum(dtype=torch.int64))
