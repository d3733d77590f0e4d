"""What a run is asked to look at. Imports no torch: tests are collected by these names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One chain of a run.

    Attributes:
        method: name of the method.
        layers: edited layers.
    """

    method: str
    layers: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.method}-L{'-'.join(map(str, self.layers))}"


@dataclass(frozen=True)
class Wanted:
    """One item of the agenda: a measure of a case after a number of edits."""

    case: Case
    edits: int
    measure: str
