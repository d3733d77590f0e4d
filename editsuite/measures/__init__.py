"""Measures: what is observed of a model in a state."""

from collections.abc import Mapping

from editsuite.measures.locality import Locality
from editsuite.measures.observation import Observation
from editsuite.measures.parameters import Parameters, pearson
from editsuite.measures.perplexity import Perplexity
from editsuite.measures.protocol import Look, Measure, View
from editsuite.measures.recall import Recall


def measures() -> Mapping[str, Measure]:
    """All measures by name."""
    known: tuple[Measure, ...] = (
        Recall("sequential"),
        Recall("individual"),
        Locality(),
        Parameters(),
        Perplexity(),
    )
    return {measure.name: measure for measure in known}


__all__ = [
    "Locality",
    "Look",
    "Measure",
    "Observation",
    "Parameters",
    "Perplexity",
    "Recall",
    "View",
    "measures",
    "pearson",
]
