"""Keys and values of positions that were already run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor


class Cache(Protocol):
    """What transformers' layers ask of a cache."""

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Take a layer's new keys and values; give those to attend over."""


class LayerCache:
    """Attention keys and values by layer, in the form that transformers' layers ask for.

    transformers hands a layer any object with ``update(keys, values, layer_index)`` and attends
    over what it returns. Its own caches always grow; two uses here need the other choice:
    optimising a value vector runs the same suffix again and again against one frozen prefix.

    Args:
        grow: append what is run (generation, recording a prefix); otherwise what is run sees
            the stored positions and is then forgotten.
    """

    def __init__(self, *, grow: bool) -> None:
        self.grow = grow
        self._stored: dict[int, tuple[Tensor, Tensor]] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Return stored and new keys and values, ``[batch, heads, positions, head_dim]`` each."""
        if layer_idx in self._stored:
            old_keys, old_values = self._stored[layer_idx]
            key_states = torch.cat([old_keys, key_states], dim=2)
            value_states = torch.cat([old_values, value_states], dim=2)
        if self.grow:
            self._stored[layer_idx] = (key_states, value_states)
        return key_states, value_states

    def stored(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """A layer's keys and values, ``[batch, heads, positions, head_dim]`` each."""
        return self._stored.get(layer)

    def frozen(self) -> LayerCache:
        """The same positions as a prefix that no longer grows."""
        return self._copy(grow=False)

    def growing(self) -> LayerCache:
        """The same positions as a beginning that grows; this cache stays as it is."""
        return self._copy(grow=True)

    def _copy(self, *, grow: bool) -> LayerCache:
        other = LayerCache(grow=grow)
        other._stored = {
            layer: (keys.detach(), values.detach())
            for layer, (keys, values) in self._stored.items()
        }
        return other

    def rows(self, number: int) -> LayerCache:
        """One sequence's positions as the common beginning of ``number`` sequences."""
        other = self._copy(grow=True)
        other._stored = {
            layer: (keys.expand(number, -1, -1, -1), values.expand(number, -1, -1, -1))
            for layer, (keys, values) in other._stored.items()
        }
        return other

    def tensors(self, stop: int, column: int) -> dict[str, Tensor]:
        """Keys and values of the layers below ``stop`` from a column on, by name."""
        return {
            f"{name}{layer}": tensor[:, :, column:]
            for layer, pair in self._stored.items()
            if layer < stop
            for name, tensor in zip(("keys", "values"), pair, strict=True)
        }

    def append(self, tensors: Mapping[str, Tensor], stop: int) -> None:
        """Add what ``tensors`` gave behind the positions that are there."""
        for layer in range(stop):
            self.update(tensors[f"keys{layer}"], tensors[f"values{layer}"], layer)

    def take(self, layer: int) -> tuple[Tensor, Tensor]:
        """A layer's keys and values, which are then no longer held."""
        return self._stored.pop(layer)
