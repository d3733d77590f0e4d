"""What can be asked of an editor that has no baseline: promises, in one place.

A stranger's method has no committed numbers. What it can be held to is what every editor says of
itself: it teaches what it is told, it leaves the rest alone. Each limit is set so that all honest
methods keep it on the default model after 1 and after 10 edits (``tests_unit/test_study_power.py``
holds that against the committed baselines); MEND, which breaks within 20 edits, promises less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Promise:
    """A limit of one observation.

    Attributes:
        name: of the promise.
        observation: what is limited.
        least: the least allowed.
        most: the most allowed.
    """

    name: str
    observation: str
    least: float = -math.inf
    most: float = math.inf

    def kept(self, value: float) -> bool:
        """Whether a value lies within the limits; NaN never does."""
        return self.least <= value <= self.most


PROMISES = (
    Promise("teaches", "reliability.individual.teacher_forced", least=0.85),
    Promise("keeps", "reliability.sequential.teacher_forced", least=0.85),
    Promise("leaves alone", "locality.generated", least=0.7),
    Promise("models language", "perplexity.prose_ratio", least=0.95, most=1.05),
    Promise("moves little", "parameters.correlation", least=0.9),
)
#: Limits of methods that promise less, by method and promise.
LESS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "mend": {
        "teaches": {"least": 0.7},
        "keeps": {"least": 0.5},
        "leaves alone": {"least": 0.4},
        "models language": {"most": 1.5},
    },
}
#: Numbers of edits up to which the promises hold.
UP_TO = 10


def promises_of(method: str, edits: int) -> tuple[Promise, ...]:
    """The promises of a method after so many edits; none beyond ``UP_TO``."""
    less = LESS.get(method, {})
    found = (replace(promise, **less.get(promise.name, {})) for promise in PROMISES)
    return tuple(found) if edits <= UP_TO else ()


def broken(method: str, edits: int, observed: Mapping[str, float]) -> dict[str, float]:
    """The promises that are not kept, with what was observed; what was not is not asked."""
    return {
        promise.name: observed[promise.observation]
        for promise in promises_of(method, edits)
        if promise.observation in observed and not promise.kept(observed[promise.observation])
    }
