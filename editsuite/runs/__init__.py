"""Runs: a model in memory, its chains, and what is observed of their states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from editsuite.late import late
from editsuite.runs.case import Case, Wanted
from editsuite.runs.settings import (
    TIERS,
    RunSettings,
    parse_batches,
    parse_counts,
    parse_layers,
    tier_counts,
)

if TYPE_CHECKING:
    from editsuite.runs.run import Run
    from editsuite.runs.store import LookStore

__all__ = [
    "TIERS",
    "Case",
    "LookStore",
    "Run",
    "RunSettings",
    "Wanted",
    "parse_batches",
    "parse_counts",
    "parse_layers",
    "tier_counts",
]

__getattr__ = late(
    __name__,
    {
        "Run": "editsuite.runs.run",
        "LookStore": "editsuite.runs.store",
    },
)
