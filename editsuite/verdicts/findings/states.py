"""What several findings take from readings: a state's capabilities, its place, its words."""

from __future__ import annotations

from collections.abc import Iterable

from editsuite.verdicts.findings.estimate import Estimate, mean
from editsuite.verdicts.findings.quantities import CAPABILITIES
from editsuite.verdicts.findings.reading import Reading, Readings
from editsuite.verdicts.tables import Setting

#: The paper's methods that change parameters (Table 5); its GRACE keeps them.
MODIFYING = ("mend", "rome", "memit")
#: Where a layer stops being shallow, and where deep ones begin, as shares of the depth. Section 7.3
#: calls layer 5 of 32 shallow and 20, 25 and 30 deep; those between, 10 and 15, are "middle".
MIDDLE, DEEP = 0.25, 0.6
#: Above all depths.
END = 1.1
#: Fewer edits tell nothing of what many do: in the paper damage shows from 20 on (section 5.1).
MANY = 20
RETENTIONS = tuple(f"{name}.retention" for name in CAPABILITIES)


def retained(readings: Readings) -> dict[str, Reading]:
    """Retention by capability, where just one reading is of it."""
    found = {name: readings.of(f"{name}.retention").sole for name in CAPABILITIES}
    return {name: one for name, one in found.items() if one is not None}


def mean_of(retentions: dict[str, Reading], names: Iterable[str]) -> Estimate:
    """The mean retention of some capabilities."""
    return mean([retentions[name] for name in names])


def plain(readings: Readings) -> Readings:
    """Those at temperature 0, one edit at a time, of the first sample of facts."""
    samples = readings.values("sample")
    first = readings.of(sample=samples[0]) if samples else readings
    return first.of(batch=1, temperature=0.0)


def where(layer: Setting) -> str:
    """A layer in words."""
    return f"layers {layer}" if "-" in str(layer) else f"layer {layer}"


def most(counts: Iterable[Setting], least: int = MANY) -> Setting | None:
    """The most of some numbers of edits; None where they are not many."""
    found = max((n for n in counts if isinstance(n, int)), default=0)
    return found if found >= least else None


def after(edits: Setting) -> str:
    """A number of edits in words."""
    return "1 edit" if edits == 1 else f"{edits} edits"


def shallower(readings: Readings) -> Readings:
    """Those of shallow and middle layers."""
    return readings.within("depth", 0, DEEP)


def shallow(readings: Readings) -> Readings:
    """Those of shallow layers."""
    return readings.within("depth", 0, MIDDLE)


def middle(readings: Readings) -> Readings:
    """Those of middle layers."""
    return readings.within("depth", MIDDLE, DEEP)


def deep(readings: Readings) -> Readings:
    """Those of deep layers."""
    return readings.within("depth", DEEP, END)
