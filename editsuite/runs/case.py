"""What a run is asked to look at. Imports no torch: tests are collected by these names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One chain of a run.

    Attributes:
        method: name of the method.
        layers: edited layers.
        batch: facts of one edit.
    """

    method: str
    layers: tuple[int, ...]
    batch: int = 1

    @property
    def name(self) -> str:
        """The method, and the batch size where it is not 1."""
        return self.method if self.batch == 1 else f"{self.method}-b{self.batch}"

    @property
    def where(self) -> str:
        """The layers: ``5``, or ``3-4-5``."""
        return "-".join(map(str, self.layers))

    @property
    def stem(self) -> str:
        """What its baselines' file is called: ``L5``, or ``L4-5-6-7.b10``."""
        return f"L{self.where}" + (f".b{self.batch}" if self.batch > 1 else "")

    def __str__(self) -> str:
        return f"{self.name}-L{self.where}"


@dataclass(frozen=True)
class Wanted:
    """One item of the agenda: a measure of a case after a number of edits."""

    case: Case
    edits: int
    measure: str
