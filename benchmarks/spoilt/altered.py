"""Mistakes that any method can make: with the update, the request or the model it looks at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from benchmarks.spoilt.entrant import Scene
from editsuite.editors import BoundEditor, Change, Dense, LowRank, Update
from editsuite.facts import EditRequest

Requests = Sequence[EditRequest]


@dataclass(frozen=True)
class Altered:
    """An editor with something put before or behind it.

    Attributes:
        bound: the honest editor; one that changes weights and remembers nothing.
        asked: what becomes of the requests.
        given: what becomes of the changes, by the weights' names.
        named: what becomes of the weights' names.
        during: entered for the time of an edit.
    """

    bound: BoundEditor
    asked: Callable[[Requests], Requests] = lambda requests: requests
    given: Callable[[Mapping[str, Change]], Mapping[str, Change]] = lambda changes: changes
    named: Callable[[str], str] = lambda name: name
    during: Callable[[], Any] = nullcontext

    @property
    def inputs(self) -> Mapping[str, object]:
        """The honest editor's."""
        return self.bound.inputs

    @property
    def parameters(self) -> tuple[str, ...]:
        """The weights that are changed in the end."""
        return tuple(map(self.named, self.bound.parameters))

    def prepare(self) -> None:
        """The honest editor's."""
        self.bound.prepare()

    def edit(self, requests: Requests) -> Update:
        """The honest update, with what is wrong about it."""
        with self.during():
            update = self.bound.edit(self.asked(requests))
        changes = {self.named(name): c for name, c in self.given(update.factors).items()}
        return dataclasses.replace(update, factors=changes)


def mapped(change: Change, by: Callable[[Tensor], Tensor]) -> Change:
    """A change with a function on one factor of each part, so that it acts on the whole once."""
    if isinstance(change, Dense):
        return Dense(by(change.delta))
    return LowRank(by(change.output), change.input)


def scaled(bound: BoundEditor, _: Scene, *, by: float) -> BoundEditor:
    """The update times a number: -1 is the wrong sign, 2 an update that is applied twice."""

    def given(changes: Mapping[str, Change]) -> Mapping[str, Change]:
        return {n: mapped(c, lambda factor: by * factor) for n, c in changes.items()}

    return Altered(bound, given=given)


def rounded(bound: BoundEditor, _: Scene, *, to: torch.dtype) -> BoundEditor:
    """The update's numbers rounded to a dtype on their way."""

    def through(factor: Tensor) -> Tensor:
        return factor.to(to).to(factor.dtype)

    def rounding(change: Change) -> Change:
        if isinstance(change, Dense):
            return Dense(through(change.delta))
        return LowRank(through(change.output), through(change.input))

    return Altered(bound, given=lambda changes: {n: rounding(c) for n, c in changes.items()})


def first_matrix_only(bound: BoundEditor, _: Scene) -> BoundEditor:
    """Of the changes of several matrices, that of the first alone is put on."""
    first = bound.parameters[0]
    return Altered(bound, given=lambda changes: {first: changes[first]})


def next_layer(bound: BoundEditor, scene: Scene) -> BoundEditor:
    """Computed for one layer's down projection, put on that of the layer above."""
    loaded = scene.stack.loaded
    names = [loaded.down_proj_name(layer) for layer in range(scene.stack.depth)]
    above = dict(pairwise(names))
    return Altered(bound, named=above.__getitem__)


def next_fact(bound: BoundEditor, scene: Scene) -> BoundEditor:
    """Each fact gets the update of the one after it; the last that of the first."""
    after = dict(zip(scene.order, (*scene.order[1:], scene.order[0]), strict=True))
    return Altered(bound, asked=lambda requests: [after[request] for request in requests])


def next_target(bound: BoundEditor, scene: Scene) -> BoundEditor:
    """Each fact is taught the target of the one after it."""
    targets = {
        one: other.target_new
        for one, other in zip(scene.order, (*scene.order[1:], scene.order[0]), strict=True)
    }

    def asked(requests: Requests) -> Requests:
        return [dataclasses.replace(r, target_new=targets[r]) for r in requests]

    return Altered(bound, asked=asked)


def unedited_model(bound: BoundEditor, scene: Scene) -> BoundEditor:
    """Every edit is computed on the unedited model, as if there had been none before it.

    A bound editor is made in state 0, so the weights kept here are the unedited ones.
    """
    weights = {n: scene.stack.loaded.model.get_parameter(n) for n in bound.parameters}
    originals = {name: weight.detach().clone() for name, weight in weights.items()}

    @contextmanager
    def during() -> Iterator[None]:
        present = {name: weight.detach().clone() for name, weight in weights.items()}
        _put(weights, originals)
        try:
            yield
        finally:
            _put(weights, present)

    return Altered(bound, during=during)


@torch.no_grad()
def _put(weights: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        weight.copy_(values[name])
