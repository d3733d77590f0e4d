"""A model of the paper beside the paper: its printed numbers are baselines by themselves.

Their tolerance is what their items leave open (Table 6), joined with the interval of the number
that was observed; numbers without items are held to their printed rounding and that interval.
Which facts were edited is no part of it, and moves more: see Table 11.
"""

from __future__ import annotations

from dataclasses import dataclass

from editsuite.verdicts.findings.estimate import Estimate, minus, over
from editsuite.verdicts.findings.quantities import is_of_capability
from editsuite.verdicts.findings.reading import Reading, Readings

#: What must be the same for two numbers to be of one thing; samples of facts may differ.
PLACE = (
    *("model", "method", "edits", "layer", "batch"),
    *("temperature", "threshold", "attention_layer"),
)


@dataclass(frozen=True)
class Agreement:
    """A number beside the paper's.

    Attributes:
        found: what was observed.
        printed: what the paper has.
        apart: their difference; of perplexities, their quotient.
        agrees: whether the interval of that holds 0 (of perplexities: 1).
    """

    found: Reading
    printed: Reading
    apart: Estimate
    agrees: bool

    @property
    def name(self) -> str:
        """What is compared, in words."""
        here = self.found.settings
        words = [f"{key} {here[key]}" for key in PLACE[1:] if key in here]
        return f"{self.found.quantity}, {', '.join(words)}"


def agreements(found: Readings, printed: Readings) -> tuple[Agreement, ...]:
    """Hold readings of the paper's models against the paper's.

    Scores count only where the paper's benchmarks were asked (setting ``asked``), and retentions
    not at all: they follow from the scores.
    """
    # Of several samples the first of the paper's is the one that its other tables have.
    of_paper: dict[object, Reading] = {}
    for one in printed:
        of_paper.setdefault(_place(one), one)
    pairs = [
        (one, of_paper[_place(one)])
        for one in found
        if _place(one) in of_paper and _comparable(one)
    ]
    return tuple(_compared(*pair) for pair in pairs)


def _comparable(one: Reading) -> bool:
    if one.quantity.endswith(".retention"):
        return False
    return not is_of_capability(one.quantity) or one.settings.get("asked") == "benchmark"


def _place(one: Reading) -> tuple[object, ...]:
    return (one.quantity, *(one.settings.get(key) for key in PLACE))


def _compared(found: Reading, printed: Reading) -> Agreement:
    if "perplexity" in found.quantity:
        apart = over(found, printed)
        return Agreement(found, printed, apart, apart.low <= 1 <= apart.high)
    apart = minus(found, printed)
    return Agreement(found, printed, apart, apart.low <= 0 <= apart.high)
