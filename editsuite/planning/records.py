"""What a plan says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from editsuite.cards import ModelCard
from editsuite.planning.machine import Machine
from editsuite.planning.prepare import Disk, Memory
from editsuite.runs.case import Case


@dataclass(frozen=True)
class ChainPlan:
    """One chain of a plan.

    Attributes:
        case: method, layers and batch.
        sample: seed of the order of the facts.
        given: hyperparameters over the card's.
        edits: facts that it teaches.
        counts: after which it is looked at.
        seconds: of editing.
        journal: bytes on disk.
    """

    case: Case
    sample: int
    given: Mapping[str, object]
    edits: int
    counts: tuple[int, ...]
    seconds: float
    journal: float


@dataclass(frozen=True)
class LookPlan:
    """All looks of one measure.

    Attributes:
        measure: its name.
        looks: how many, each counted once for all runs.
        items: asked in all of them.
        tokens: read.
        written: tokens written, at most.
        seconds: in all.
    """

    measure: str
    looks: int
    items: int
    tokens: float
    written: float
    seconds: float


@dataclass(frozen=True)
class RunPlan:
    """What some runs of one model take.

    Attributes:
        card: of the model.
        machine: that the time is reckoned for.
        chains: that are edited, each once.
        looks: by measure.
        prepare: seconds before the first edit: model, covariance.
        disk: bytes, by what for.
        memory: bytes, by what for.
    """

    card: ModelCard
    machine: Machine
    chains: tuple[ChainPlan, ...]
    looks: tuple[LookPlan, ...]
    prepare: float
    disk: Disk
    memory: Memory

    @property
    def states(self) -> int:
        """States that are looked at, the unedited one aside."""
        return sum(len(chain.counts) for chain in self.chains)

    @property
    def seconds(self) -> float:
        """All of it."""
        editing = sum(chain.seconds for chain in self.chains)
        return self.prepare + editing + sum(look.seconds for look in self.looks)
