"""The measures that need no settings, by name."""

from __future__ import annotations

from collections.abc import Mapping

from editsuite.measures.answers import Answers
from editsuite.measures.locality import Locality
from editsuite.measures.matrices import Matrices
from editsuite.measures.parameters import Parameters
from editsuite.measures.perplexity import Perplexity
from editsuite.measures.protocol import Measure
from editsuite.measures.recall import Recall
from editsuite.measures.saliency.measure import Saliency
from editsuite.measures.weakspots import Weakspots


def measures() -> Mapping[str, Measure]:
    """All measures by name; those of capabilities are made by a run."""
    known: tuple[Measure, ...] = (
        Recall("sequential"),
        Recall("individual"),
        Locality(),
        Parameters(),
        Matrices(),
        Perplexity(),
        Weakspots(),
        Saliency(),
        Answers(),
    )
    return {measure.name: measure for measure in known}
