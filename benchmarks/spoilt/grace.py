"""GRACE with one thing wrong: the key, the radii, who answers, and what is put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from benchmarks.spoilt.entrant import Scene, recast
from editsuite.editors import Update
from editsuite.editors.codebook import Placement
from editsuite.editors.codebook_state import (
    CodebookAdapter,
    CodebookState,
    Entered,
    codebook_of,
    entered,
)
from editsuite.editors.grace import BoundGrace
from editsuite.editors.key_scale import query_row
from editsuite.editors.lookup import lookup_states
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class OpenAdapter(CodebookAdapter):
    """The codebook's adapter, taken apart where it can be spoilt; as it stands it is GRACE's."""

    def found(self, query: Tensor) -> int | None:
        """The entry that answers."""
        return self.codebook.lookup(query)

    def put(self, leaving: Tensor, index: int) -> Tensor:
        """What goes on at a token for which an entry answers."""
        return self.codebook.values[index].to(leaving)

    def __call__(self, entering: Tensor, leaving: Tensor) -> Tensor | None:
        """See ``CodebookAdapter``."""
        found = [self.found(query) for query in entering.detach().cpu()]
        if all(index is None for index in found):
            return None
        put = leaving.clone()
        for row, index in enumerate(found):
            if index is not None:
                put[row] = self.put(leaving[row], index)
        return put


@dataclass(frozen=True)
class Boundless(OpenAdapter):
    """The nearest entry answers, however far it is."""

    def found(self, query: Tensor) -> int | None:
        """The nearest entry."""
        return int(self.codebook.distances(query).argmin())


@dataclass(frozen=True)
class Farthest(OpenAdapter):
    """The farthest entry is taken for the nearest; it answers within its radius."""

    def found(self, query: Tensor) -> int | None:
        """The farthest entry, if it is near enough."""
        distances = self.codebook.distances(query)
        index = int(distances.argmax())
        return index if bool(distances[index] < self.codebook.radii[index]) else None


@dataclass(frozen=True)
class Added(OpenAdapter):
    """The value is added to what the module puts out."""

    def put(self, leaving: Tensor, index: int) -> Tensor:
        """The sum."""
        return leaving + super().put(leaving, index)


@dataclass(frozen=True)
class NextValue(OpenAdapter):
    """An entry answers with the value of the entry before it, the first with the last one's."""

    def put(self, leaving: Tensor, index: int) -> Tensor:
        """Another entry's value."""
        return super().put(leaving, index - 1)


class OpenState(CodebookState):
    """A codebook behind an adapter of another kind."""

    adapter: ClassVar[type[CodebookAdapter]] = OpenAdapter

    def apply(self, update: Update) -> None:
        """See ``CodebookState.apply``."""
        super().apply(update)
        placed = self._stack.adapter
        self._placed = self.adapter(placed.layer, placed.module, self.codebook)
        self._stack.adapter = self._placed


class BoundlessState(OpenState):
    """See ``Boundless``."""

    adapter = Boundless


class FarthestState(OpenState):
    """See ``Farthest``."""

    adapter = Farthest


class AddedState(OpenState):
    """See ``Added``."""

    adapter = Added


class NextValueState(OpenState):
    """See ``NextValue``."""

    adapter = NextValue


@dataclass(frozen=True)
class OtherState(BoundGrace):
    """GRACE with a state of another kind.

    Attributes:
        kind: of the state.
    """

    kind: type[OpenState] = OpenState

    def open_state(self) -> CodebookState:
        """See ``BoundGrace.open_state``."""
        return self.kind(self.stack, self.layer)


@dataclass(frozen=True)
class NeverSplit(BoundGrace):
    """A key beside one of another label takes a whole radius, and none gives way."""

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """The honest edit, but for the radii."""
        update = super().edit(requests)
        told = entered(update.tensors)
        if told.placement.decision not in ("new", "split"):
            return update
        placement = Placement("new", told.placement.index, {told.placement.index: self.eps})
        return replace(update, tensors=replace(told, placement=placement).tensors())


@dataclass(frozen=True)
class FirstTokenKey(BoundGrace):
    """The key is read at the prompt's first token; who asks asks at the last."""

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """The honest edit under another key."""
        update = super().edit(requests)
        told = entered(update.tensors)
        row = replace(query_row(self.stack, requests[0]), lookup=0)
        with self.stack.adapted(None):
            key = lookup_states(self.stack, (row,), self.layer).keys[0].cpu()
        placement = codebook_of(self.stack, self.layer).place(key, told.label, self.eps)
        return replace(update, tensors=Entered(placement, key, told.value, told.label).tensors())


def boundless(bound: BoundGrace, _: Scene) -> BoundGrace:
    """See ``Boundless``."""
    return recast(OtherState, bound, kind=BoundlessState)


def farthest(bound: BoundGrace, _: Scene) -> BoundGrace:
    """See ``Farthest``."""
    return recast(OtherState, bound, kind=FarthestState)


def added(bound: BoundGrace, _: Scene) -> BoundGrace:
    """See ``Added``."""
    return recast(OtherState, bound, kind=AddedState)


def next_value(bound: BoundGrace, _: Scene) -> BoundGrace:
    """See ``NextValue``."""
    return recast(OtherState, bound, kind=NextValueState)


def never_split(bound: BoundGrace, _: Scene) -> BoundGrace:
    """See ``NeverSplit``."""
    return recast(NeverSplit, bound)


def first_token_key(bound: BoundGrace, _: Scene) -> BoundGrace:
    """See ``FirstTokenKey``."""
    return recast(FirstTokenKey, bound)
