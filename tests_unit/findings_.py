"""Readings made for tests of findings: chosen ones, and the paper's with some turned."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from editsuite.verdicts.findings import Reading, Readings, printed
from editsuite.verdicts.findings.catalogue import FINDINGS
from editsuite.verdicts.findings.outcome import Finding

BY_ID = {one.id: one for one in FINDINGS}


@cache
def paper() -> Readings:
    """All of the paper's; read once."""
    return printed()


def seen_by(finding: Finding) -> Readings:
    """The paper's readings that a finding is judged by."""
    readings = paper()
    return readings if finding.compares else readings.of(model=finding.model)


def made(quantity: str, value: float, width: float = 0.01, **settings: Any) -> Reading:
    """A reading of one edit at a time by ROME at its usual layer, but for what is said."""
    plain: dict[str, Any] = {
        "model": "llama-2-7b",
        "method": "rome",
        "edits": 100,
        "layer": "5",
        "batch": 1,
        "temperature": 0.0,
        "sample": "a",
        "usual": 1,
    }
    plain |= settings
    plain.setdefault("depth", float(plain["layer"].split("-")[0]) / 31)
    return Reading(quantity, plain, value, value - width, value + width, 100, "made")


def turned(
    readings: Readings, wanted: Readings, change: Callable[[Reading], float], width: float = 0.01
) -> Readings:
    """The readings, the wanted ones among them with another value and a narrow interval."""
    keys = {one.key for one in wanted}
    assert keys, "nothing is turned"
    return Readings(
        tuple(
            Reading(
                one.quantity,
                one.settings,
                value := change(one),
                value - width,
                value + width,
                one.n,
                "turned",
            )
            if one.key in keys
            else one
            for one in readings
        )
    )


def to(value: float) -> Callable[[Reading], float]:
    """A change to one value."""
    return lambda _: value
