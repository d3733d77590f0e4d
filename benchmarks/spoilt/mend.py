"""MEND with one thing wrong: what its network is fed, which maps it serves, and how fast."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from benchmarks.spoilt.entrant import Scene, recast
from editsuite.editors.hypernetwork import Hypernetwork, Parts
from editsuite.editors.mend import BoundMend


class Bare(nn.Module):
    """A normaliser that gives what it takes."""

    def forward(self, x: Tensor) -> Tensor:
        """``x``."""
        return x


class Bypassed(nn.Module):
    """A transform that gives the gradient's parts as they are."""

    def forward(self, parts: Parts, mode: int) -> Parts:
        """The same parts."""
        return parts


@dataclass(frozen=True)
class Changed(BoundMend):
    """MEND with a network other than its file's.

    Attributes:
        spoilt: the network in use.
    """

    spoilt: Hypernetwork | None = None

    @cached_property
    def _net(self) -> Hypernetwork:
        assert self.spoilt is not None
        return self.spoilt.to(self.stack.device)


def unnormalised(bound: BoundMend, _: Scene) -> BoundMend:
    """Gradients enter the network with the mean and the size that they have."""
    net = copy.deepcopy(bound.file.net)
    for transform in net.transforms.values():
        transform.input, transform.output = Bare(), Bare()
    return recast(Changed, bound, spoilt=net)


def bypassed(bound: BoundMend, _: Scene) -> BoundMend:
    """The gradient is used as it is; what was learned are the rates alone."""
    net = copy.deepcopy(bound.file.net)
    for key in net.transforms:
        net.transforms[key] = Bypassed()
    return recast(Changed, bound, spoilt=net)


def one_rate(bound: BoundMend, _: Scene) -> BoundMend:
    """Every map has the mean rate, none its own."""
    net = copy.deepcopy(bound.file.net)
    with torch.no_grad():
        net.rates.fill_(net.rates.mean())
    return recast(Changed, bound, spoilt=net)


def turned_modes(bound: BoundMend, _: Scene) -> BoundMend:
    """Each map goes through the network by the scale and shift of the next one of its shape."""
    net = copy.deepcopy(bound.file.net)
    sizes = {key: sum(s.key == key for s in net.shapes) for key in net.transforms}
    net.modes = {s.name: (net.modes[s.name] + 1) % sizes[s.key] for s in net.shapes}
    return recast(Changed, bound, spoilt=net)
