"""AlphaEdit with one thing wrong: the projection, or the memory of earlier edits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from benchmarks.spoilt.entrant import Scene, recast
from editsuite.editors import Update
from editsuite.editors.alphaedit import BoundAlphaEdit
from editsuite.editors.earlier import EarlierKeys
from editsuite.editors.nullspace import NullSpace


@dataclass(frozen=True)
class Everything:
    """The whole space in the place of a null space: projecting onto it changes nothing.

    Attributes:
        null: the null space.
    """

    null: NullSpace

    @cached_property
    def basis(self) -> Tensor:
        """The identity, ``[d_ff, d_ff]`` float64."""
        inside = self.null.basis
        return torch.eye(len(inside), dtype=inside.dtype)


@dataclass(frozen=True)
class Rest:
    """The directions that other knowledge uses in the place of those that it does not.

    Attributes:
        null: the null space.
    """

    null: NullSpace

    @cached_property
    def basis(self) -> Tensor:
        """What stands at right angles to the null space, ``[d_ff, d_ff - dimensions]``."""
        inside = self.null.basis
        rest: Tensor = torch.linalg.qr(inside, mode="complete").Q[:, inside.shape[1] :]
        return rest


@dataclass(frozen=True)
class Forgetful(BoundAlphaEdit):
    """Earlier edits' keys are not remembered."""

    def remember(self, update: Update) -> None:
        """Nothing is."""


def everything(bound: BoundAlphaEdit, _: Scene) -> BoundAlphaEdit:
    """See ``Everything``."""
    earlier = {layer: EarlierKeys(Everything(s)) for layer, s in bound.spaces.items()}  # type: ignore[arg-type]
    return replace(bound, earlier=earlier)


def rest(bound: BoundAlphaEdit, _: Scene) -> BoundAlphaEdit:
    """See ``Rest``."""
    earlier = {layer: EarlierKeys(Rest(s)) for layer, s in bound.spaces.items()}  # type: ignore[arg-type]
    return replace(bound, earlier=earlier)


def forgetful(bound: BoundAlphaEdit, _: Scene) -> BoundAlphaEdit:
    """See ``Forgetful``."""
    return recast(Forgetful, bound)
