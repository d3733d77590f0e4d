"""A codebook: keys, each with a value, a radius and a label; looked up by Euclidean distance.

The paper's equation (1), after Hartvigsen et al. 2022 ("Aging with GRACE"): a query takes the
value of the nearest key if it lies nearer to it than the key's radius, and none otherwise.

A new key is put in (``place``) as there, with three differences, each of which the reference
needs to keep what it promises:

- *Balls of different labels never overlap.* The reference splits with the nearest key alone, and
  gives that key half the distance even where its radius was smaller. Here every key of another
  label whose ball the new one would meet shrinks to half the distance, and none grows.
- *Who grows makes room for nobody's loss.* Where an expanded ball would meet one of another
  label, a key of its own is put in instead.
- *The same key with another label* is the same question with a new answer, which replaces the old
  one. The reference leaves two keys without a radius, neither of which answers.

Labels are compared token by token; keys, values, radii and labels stand in one order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

#: An expanded ball reaches beyond the key that it takes in by this share of epsilon. The same
#: prompt's key has other last bits in another batch, and equation (1) leaves the border outside.
MARGIN = 1e-3

#: ``new``: a key outside all reach; ``split``: a key beside one of another label; ``expand``: the
#: nearest key takes the query in; ``keep``: it holds it already; ``renew``: it changes its label.
Decision = Literal["new", "split", "expand", "keep", "renew"]
#: In the order in which journals number them.
DECISIONS: tuple[Decision, ...] = get_args(Decision)


@dataclass(frozen=True)
class Placement:
    """Where a key goes, and what becomes of the radii.

    Attributes:
        decision: why.
        index: the entry that answers for the key; the number of entries where it is a new one.
        radii: by index, every radius that changes, a new one included.
    """

    decision: Decision
    index: int
    radii: Mapping[int, float]


@dataclass(frozen=True)
class Codebook:
    """Entries in the order in which they were put in; all tensors lie on the CPU.

    Attributes:
        keys: ``[entries, d_in]`` float32, no two alike.
        values: ``[entries, d_out]`` float32.
        radii: ``[entries]`` float64, all above 0.
        labels: token ids of the target that each value stands for.
    """

    keys: Tensor
    values: Tensor
    radii: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    labels: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def empty(cls, d_in: int, d_out: int) -> Codebook:
        """A codebook without entries."""
        return cls(torch.zeros(0, d_in), torch.zeros(0, d_out))

    def __len__(self) -> int:
        return len(self.labels)

    def distances(self, query: Tensor) -> Tensor:
        """Euclidean distance of each key from ``query`` (``[d_in]``), ``[entries]`` float64.

        By differences and one query at a time: a distance near 0 is exact, and its bits depend
        on no other query.
        """
        return (self.keys.double() - query.float().double()).square().sum(dim=1).sqrt()

    def lookup(self, query: Tensor) -> int | None:
        """The entry that answers a query ``[d_in]``, by equation (1); None where none does."""
        if not len(self):
            return None
        distances = self.distances(query)
        nearest = _nearest(distances)
        return nearest if bool(distances[nearest] < self.radii[nearest]) else None

    def place(self, key: Tensor, label: tuple[int, ...], eps: float) -> Placement:
        """Decide where a key goes.

        Args:
            key: ``[d_in]``.
            label: the target's token ids.
            eps: radius of a new key, above 0.
        """
        if not len(self):
            return Placement("new", 0, {0: eps})
        distances, end = self.distances(key), len(self)
        nearest = _nearest(distances)
        far, radius = float(distances[nearest]), float(self.radii[nearest])
        if far > radius + eps:
            return Placement("new", end, self._room(distances, label, eps, end))
        if self.labels[nearest] == label:
            if far < radius:
                return Placement("keep", nearest, {})
            reach = far + MARGIN * eps
            room = self._room(self.distances(self.keys[nearest]), label, reach, nearest)
            if room == {nearest: reach}:
                return Placement("expand", nearest, room)
            return Placement("new", end, self._room(distances, label, eps, end))
        if far == 0:
            return Placement("renew", nearest, self._room(distances, label, radius, nearest))
        return Placement("split", end, self._room(distances, label, far / 2, end))

    def _room(
        self, distances: Tensor, label: tuple[int, ...], radius: float, index: int
    ) -> dict[int, float]:
        """The radius of entry ``index``, and those of the keys of other labels that it meets.

        The nearest first: whoever is met after it is met with what it left.
        """
        changed: dict[int, float] = {}
        for other in torch.argsort(distances, stable=True).tolist():
            if other == index or self.labels[other] == label:
                continue
            far, reach = float(distances[other]), float(self.radii[other])
            if radius + reach > far:
                radius = min(radius, far / 2)
                if far / 2 < reach:
                    changed[other] = far / 2
        return {**changed, index: radius}

    def put(
        self, placement: Placement, key: Tensor, value: Tensor, label: tuple[int, ...]
    ) -> Codebook:
        """The codebook with an entry put in or changed, as ``place`` decided.

        Args:
            placement: made by this very codebook.
            key: ``[d_in]``; an entry that is there keeps its own.
            value: ``[d_out]``, in place of the old one where the entry is there.
            label: the target's token ids.
        """
        index, end = placement.index, len(self)
        keys, values, radii = self.keys, self.values.clone(), self.radii.clone()
        labels = [*self.labels[:index], label, *self.labels[index + 1 :]]
        if index == end:
            keys = torch.cat([keys, key.detach().float().cpu()[None]])
            values = torch.cat([values, torch.zeros_like(value, device="cpu")[None].float()])
            radii = torch.cat([radii, radii.new_zeros(1)])
        values[index] = value.detach().float().cpu()
        for at, radius in placement.radii.items():
            radii[at] = radius
        return Codebook(keys, values, radii, tuple(labels))

    def insert(self, key: Tensor, value: Tensor, label: tuple[int, ...], eps: float) -> Codebook:
        """``place`` and ``put`` in one."""
        return self.put(self.place(key, label, eps), key, value, label)


def _nearest(distances: Tensor) -> int:
    """The first of the least: ``argmin`` leaves open which of equals it takes."""
    return int((distances == distances.min()).nonzero()[0, 0])
