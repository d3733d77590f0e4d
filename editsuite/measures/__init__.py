"""Measures: what is observed of a model in a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from editsuite.late import late

if TYPE_CHECKING:
    from editsuite.measures.answers import Answers
    from editsuite.measures.known import measures
    from editsuite.measures.locality import Locality
    from editsuite.measures.matrices import Matrices
    from editsuite.measures.observation import Observation
    from editsuite.measures.parameters import Parameters, pearson
    from editsuite.measures.perplexity import Perplexity
    from editsuite.measures.protocol import Judged, Look, Measure, View
    from editsuite.measures.recall import Recall
    from editsuite.measures.saliency.measure import Saliency
    from editsuite.measures.weakspots import Weakspots

__all__ = [
    "Answers",
    "Judged",
    "Locality",
    "Look",
    "Matrices",
    "Measure",
    "Observation",
    "Parameters",
    "Perplexity",
    "Recall",
    "Saliency",
    "View",
    "Weakspots",
    "measures",
    "pearson",
]

__getattr__ = late(
    __name__,
    {
        "Answers": "editsuite.measures.answers",
        "Judged": "editsuite.measures.protocol",
        "Locality": "editsuite.measures.locality",
        "Look": "editsuite.measures.protocol",
        "Matrices": "editsuite.measures.matrices",
        "Measure": "editsuite.measures.protocol",
        "Observation": "editsuite.measures.observation",
        "Parameters": "editsuite.measures.parameters",
        "Perplexity": "editsuite.measures.perplexity",
        "Recall": "editsuite.measures.recall",
        "Saliency": "editsuite.measures.saliency.measure",
        "View": "editsuite.measures.protocol",
        "Weakspots": "editsuite.measures.weakspots",
        "measures": "editsuite.measures.known",
        "pearson": "editsuite.measures.parameters",
    },
)
