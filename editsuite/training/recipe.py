"""How a hypernetwork is trained."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from editsuite.errors import OptionError

#: What says how long to train, and so nothing of how a step is made.
_DURATION = ("steps", "patience")


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a training, beside the model and the facts.

    The losses' weights, the clipping and the first rate are the reference's (EasyEdit's
    ``hparams/TRAINING/MEND``); the rest is sized to a small model and a short training.

    Attributes:
        layers: edited layers, ascending.
        rank: of the residual layers.
        n_hidden: residual layers less one.
        batch: facts of a step, each edited by itself.
        steps: steps at most; a multiple of ``every``.
        lr: Adam's learning rate for the network.
        lr_rates: Adam's learning rate for the maps' rates.
        rate: of every map at the beginning.
        c_edit: weight of the edit loss.
        c_loc: weight of the locality loss.
        c_rephrase: share of the rephrase in the edit loss, 0 to 1; the reference has 0.
        clip: largest norm of a step's gradient.
        every: steps between evaluations; a checkpoint is written with each.
        patience: evaluations without a better loss after which the training ends.
        held_out: facts to evaluate on.
        facts: facts to learn from at most.
        longest: tokens of a sequence at most.
        positions: of an unrelated text whose predictions are held, at most.
        seed: of the order of facts and of the network's first weights.
    """

    layers: tuple[int, ...]
    rank: int = 128
    n_hidden: int = 1
    batch: int = 8
    steps: int = 2000
    lr: float = 1e-5
    lr_rates: float = 2e-5
    rate: float = 1e-4
    c_edit: float = 0.1
    c_loc: float = 1.0
    c_rephrase: float = 0.5
    clip: float = 100.0
    every: int = 100
    patience: int = 5
    held_out: int = 200
    facts: int = 4000
    longest: int = 64
    positions: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.layers:
            raise OptionError("no layer to edit was named; give --layers, such as 27,28,29")
        least = {"n_hidden": 0, "seed": 0, "c_loc": 0, "c_rephrase": 0, "lr": 0, "lr_rates": 0}
        for name, value in dataclasses.asdict(self).items():
            low = least.get(name, 1 if isinstance(value, int) else 0)
            if name != "layers" and not (math.isfinite(value) and value >= low):
                raise OptionError(f"{name} is {value}; the least is {low}")
        if self.c_rephrase > 1:
            raise OptionError(f"c_rephrase is {self.c_rephrase}; it is a share, 1 at most")
        if self.steps % self.every:
            raise OptionError(
                f"steps is {self.steps} and every is {self.every}: steps after the last evaluation "
                "would be lost; give a number of steps that is a multiple (--steps, --every)"
            )

    @property
    def lowest(self) -> int:
        """The lowest edited layer."""
        return min(self.layers)

    def identity(self) -> Mapping[str, object]:
        """As JSON values, without what only says how long to train."""
        settings = {**dataclasses.asdict(self), "layers": list(self.layers)}
        return {name: value for name, value in settings.items() if name not in _DURATION}
