"""Measures that ask their items in another order: the answers are to be the same."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from editsuite.measures import Locality, Look, Measure, Observation, Perplexity, Recall, View
from editsuite.measures.texts import Texts, prose

T = TypeVar("T")


class Named(Protocol):
    """Measures by name, as a run has them."""

    def __getitem__(self, name: str) -> Measure: ...


def order_of(length: int, seed: int) -> list[int]:
    """The numbers below ``length`` in an order of their own, the same for the same seed."""
    numbers = list(range(length))
    random.Random(f"{seed} {length}").shuffle(numbers)
    return numbers


def reordered(items: Sequence[T], seed: int) -> list[T]:
    """The items in the order of a seed."""
    return [items[i] for i in order_of(len(items), seed)]


@dataclass(frozen=True)
class Mixed:
    """A measure of facts that asks about them in another order.

    What it saw stays in that order: the two looks that are compared pair by pair have the same
    one, and nothing else reads the items' places.

    Attributes:
        measure: the measure.
        seed: of the order.
    """

    measure: Measure
    seed: int

    @property
    def name(self) -> str:
        """The measure's own."""
        return self.measure.name

    @property
    def identity(self) -> str:
        """The measure's own, and the order."""
        return f"{self.measure.identity} in order {self.seed}"

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """The measure's own."""
        return self.measure.looks(edits, batch)

    def look(self, view: View) -> Any:
        """The measure's, of the facts in another order."""
        return self.measure.look(replace(view, requests=reordered(view.requests, self.seed)))

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """The measure's own."""
        return self.measure.observe(edits, seen, batch)


@dataclass(frozen=True)
class MixedProse(Perplexity):
    """Perplexity that scores the passages in another order.

    Attributes:
        seed: of the order.
    """

    seed: int = 0

    @property
    def identity(self) -> str:
        """Digest of the passages, and the order."""
        return f"{super().identity} in order {self.seed}"

    def look(self, view: View) -> Any:
        """The passages' numbers, in their usual order."""
        own = self.texts or Texts("prose", prose())
        order = order_of(len(own.passages), self.seed)
        mixed = replace(own, passages=tuple(own.passages[i] for i in order))
        seen = Perplexity(mixed).look(view)
        places = [order.index(i) for i in range(len(order))]
        return {name: [numbers[at] for at in places] for name, numbers in seen.items()}


@dataclass(frozen=True)
class Reordered:
    """A run's measures; those of facts and of prose in another order, the others as they are.

    Attributes:
        own: the run's.
        seed: of the order.
    """

    own: Named
    seed: int

    def __getitem__(self, name: str) -> Measure:
        measure = self.own[name]
        if isinstance(measure, Perplexity):
            return MixedProse(measure.texts, seed=self.seed)
        if isinstance(measure, Recall | Locality):
            return Mixed(measure, self.seed)
        return measure
