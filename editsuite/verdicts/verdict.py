"""A verdict: what a comparison of two states says, how sure that is, and in which words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from editsuite.measures.observation import LEVEL

Kept = Literal["retained", "lost", "undecided"]
Outcome = Literal["retained", "lost", "better", "worse", "undecided"]
Direction = Literal["retained", "lost"]

#: Level of each one-sided test; so a 95 % interval and a verdict never contradict each other
#: (ICH E9, section 3.3.2).
ALPHA = (1 - LEVEL) / 2
#: What may be missing of a score that counts as retained.
MARGIN = 0.1


def decided(low: float, high: float, bound: float) -> Kept:
    """What an interval says of a bound: it lies above, below, or holds it.

    Args:
        low: lower end.
        high: upper end.
        bound: the number between retained and lost.
    """
    if low >= bound:
        return "retained"
    return "lost" if high < bound else "undecided"


@dataclass(frozen=True)
class Evidence:
    """Two one-sided tests of one bound.

    Attributes:
        retained: p of "at most the bound": small where the state lies above it (non-inferiority).
        lost: p of "at least the bound": small where the state lies below it (superiority of the
            unedited model).
        test: which test it was.
    """

    retained: float
    lost: float
    test: str


@dataclass(frozen=True)
class Correction:
    """p values corrected for the other verdicts of a family.

    Attributes:
        family: what the verdicts have in common.
        method: ``holm`` or ``benjamini-hochberg``.
        members: how many verdicts were tested together.
        retained: the corrected p of ``Evidence.retained``.
        lost: the corrected p of ``Evidence.lost``.
    """

    family: str
    method: str
    members: int
    retained: float
    lost: float


@dataclass(frozen=True)
class Verdict:
    """A comparison of a state with the unedited model, decided.

    Attributes:
        name: of the observation.
        estimate: its value.
        low: lower end of its 95 % interval.
        high: upper end.
        n: items compared.
        unit: ``ratio`` to the unedited model, or what differences are in.
        margin: how much may be missing; 0 asks whether anything changed.
        interval: how the interval was found.
        evidence: of the tests; None where there are no items, only an interval.
        correction: for the other verdicts of a family; None where it stands alone.
    """

    name: str
    estimate: float
    low: float
    high: float
    n: int
    unit: str
    margin: float
    interval: str
    evidence: Evidence | None
    correction: Correction | None = None

    @property
    def bound(self) -> float:
        """The number between retained and lost: ``1 - margin`` of a ratio, else ``-margin``."""
        return 1 - self.margin if self.unit == "ratio" else 0.0 - self.margin

    @property
    def outcome(self) -> Outcome:
        """Retained or lost, better or worse where no margin is given, or undecided."""
        decisive = self.correction or self.evidence
        if decisive is None:
            return decided(self.low, self.high, self.bound)
        if decisive.retained <= ALPHA:
            return "retained" if self.margin else "better"
        if decisive.lost <= ALPHA:
            return "lost" if self.margin else "worse"
        return "undecided"

    @property
    def direction(self) -> Direction:
        """The hypothesis that the items speak for, surely or not."""
        if self.evidence is None:
            return "retained" if self.estimate >= self.bound else "lost"
        return "retained" if self.evidence.retained <= self.evidence.lost else "lost"

    @property
    def p(self) -> float:
        """One-sided p of the direction; NaN where nothing was tested."""
        if self.evidence is None:
            return math.nan
        return min(self.evidence.retained, self.evidence.lost)

    @property
    def adjusted_p(self) -> float:
        """The same, corrected for the family; NaN where it stands alone."""
        if self.correction is None:
            return math.nan
        held = self.correction
        return held.retained if self.direction == "retained" else held.lost

    @property
    def hypothesis(self) -> str:
        """What was tested against: it is rejected where p is small."""
        side = "at most" if self.direction == "retained" else "at least"
        if self.unit == "ratio":
            return f"{side} {self.bound:.4g} of the unedited score is left"
        return f"the items changed by {side} {self.bound:.4g} {self.unit}"

    def words(self) -> str:
        """The verdict as sentences for people."""
        if self.unit == "ratio":
            seen = f"{self.estimate:.3f} of the unedited score is left on the same {self.n} items"
        else:
            seen = f"the same {self.n} items changed by {self.estimate:+.4g} {self.unit} on average"
        text = (
            f"{self.name}: {self.outcome}. {seen[0].upper()}{seen[1:]} "
            f"({self.interval}: {self.low:.4g} to {self.high:.4g}; bound {self.bound:.4g})."
        )
        if self.evidence is None:
            return f"{text} The interval alone decides."
        text += f" Against '{self.hypothesis}': p = {self.p:.2g}, {self.evidence.test}"
        if self.correction is not None:
            held = self.correction
            text += (
                f"; {self.adjusted_p:.2g} after {held.method} over {held.members} ({held.family})"
            )
        return text + "."
