"""A chain's place among others: its settings, as readings of findings have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from editsuite.cards import ModelCard
from editsuite.verdicts.tables import Setting

#: A method's own threshold has a name in its hyperparameters.
THRESHOLDS: Mapping[str, str] = {"grace": "eps"}


@dataclass(frozen=True)
class Place:
    """What a chain's settings are, as readings have them.

    Attributes:
        card: the model's.
        method: the editing method.
        layers: that were edited.
        batch: facts of one edit.
        hyperparameters: given over the card's, by bare name.
        temperature: that answers were drawn at.
        sample: which facts, and in which order.
        usual: whether facts, seed and dtype are those that baselines are committed for.
    """

    card: ModelCard
    method: str
    layers: tuple[int, ...]
    batch: int = 1
    hyperparameters: Mapping[str, object] | None = None
    temperature: float = 0.0
    sample: str = "0"
    usual: bool = True

    def settings(self, edits: int) -> dict[str, Setting]:
        """The settings after a number of edits."""
        found: dict[str, Setting] = {
            "model": self.card.name,
            "method": self.method,
            "edits": edits,
            "layer": "-".join(map(str, self.layers)),
            "batch": self.batch,
            "temperature": self.temperature,
            "sample": self.sample,
        }
        name = THRESHOLDS.get(self.method, "")
        own = self.card.hyperparameters.get(self.method, {}).get(name)
        chosen = (self.hyperparameters or {}).get(name, own)
        if isinstance(chosen, int | float):
            found["threshold"] = float(chosen)
        as_usual = self.usual and self.batch == 1 and self.temperature == 0
        as_usual = as_usual and not self.hyperparameters
        found["usual"] = int(as_usual and self.layers == self.card.layers.get(self.method))
        return found
