"""A preset on a model that the paper did not run: layers by depth, sizes by tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from editsuite.cards import ModelCard, relative_layer, relative_layers
from editsuite.measures.capabilities.items import Wanted
from editsuite.presets.preset import Place
from editsuite.runs.settings import TIERS

#: Items of each benchmark, by tier; probes are always asked whole.
ITEMS: Mapping[str, Wanted] = {"smoke": 20, "standard": 100, "paper": "all"}
#: Sequences of standard text that the paper reads (appendix E.1.2).
TEXTS = 1000


@dataclass(frozen=True)
class Scale:
    """From the paper's numbers to those of a run.

    Attributes:
        n_layers: of the model that is run.
        depth: of the model that the paper's layers belong to; None where nothing is scaled.
        most: the largest number of edits.
    """

    n_layers: int
    depth: int | None
    most: int

    @classmethod
    def of(cls, card: ModelCard, base: ModelCard, own: bool, tier: str) -> Scale:
        """The scale of a model.

        Args:
            card: of the model that is run.
            base: of the model that the preset's layers belong to.
            own: whether the paper itself ran the model; then its layers are those printed.
            tier: a name in ``TIERS``.
        """
        return cls(card.n_layers, None if own else base.n_layers, max(TIERS[tier]))

    def place(self, layers: Place) -> Place:
        """The layers at the same depth; a run of layers stays a run."""
        if self.depth is None or not layers:
            return layers
        if len(layers) == 1:
            return (relative_layer(layers[0], self.depth, self.n_layers),)
        return relative_layers(layers, self.depth, self.n_layers)

    def counts(self, counts: Sequence[int]) -> dict[int, int]:
        """By the paper's number of edits, the run's; what goes beyond the tier is left out.

        Where all go beyond it, the tier's largest number stands for the smallest of them.
        """
        kept = {count: count for count in counts if count <= self.most}
        return kept or {min(counts): self.most}

    def batches(self, batches: Sequence[int], counts: Sequence[int]) -> tuple[int, ...]:
        """The batch sizes of which some count is whole batches."""
        return tuple(b for b in batches if any(count % b == 0 for count in counts))

    def words(self, places: Sequence[Place]) -> list[str]:
        """What became of the layers, in words."""
        moved = [(place, self.place(place)) for place in places if place]
        if self.depth is None or all(a == b for a, b in moved):
            return []
        said = ", ".join(f"{_layers(a)} is {_layers(b)}" for a, b in moved)
        return [f"layers by depth, {self.depth} to {self.n_layers}: {said}"]


def _layers(place: Place) -> str:
    return str(place[0]) if len(place) == 1 else f"{place[0]} to {place[-1]}"
