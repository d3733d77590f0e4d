"""The paper's tables and figures, run again and set beside what is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from editsuite.late import late

if TYPE_CHECKING:
    from editsuite.reproduction.comparison import Cell, Comparison, Line, compare
    from editsuite.reproduction.points import Point, Reproduction

__all__ = ["Cell", "Comparison", "Line", "Point", "Reproduction", "compare"]

__getattr__ = late(
    __name__,
    {
        "Cell": "editsuite.reproduction.comparison",
        "Comparison": "editsuite.reproduction.comparison",
        "Line": "editsuite.reproduction.comparison",
        "compare": "editsuite.reproduction.comparison",
        "Point": "editsuite.reproduction.points",
        "Reproduction": "editsuite.reproduction.points",
    },
)
