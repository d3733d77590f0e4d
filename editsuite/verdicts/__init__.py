"""Verdicts: they see observations only, whether from a live run or from a paper's table."""

from editsuite.verdicts.baseline import Comparison, Expected, Outcome, compare

__all__ = ["Comparison", "Expected", "Outcome", "compare"]
