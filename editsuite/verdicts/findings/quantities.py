"""What is compared, by the name it has here, in the paper's tables and among observations.

Capabilities go by the suite's names: a probe of knowledge is not MMLU, and MMLU shows knowledge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from editsuite.verdicts.findings.claims import TABLE_1

CAPABILITIES = tuple(TABLE_1)
#: The quantity behind a column of the paper's tables; other columns go by their own names.
COLUMNS: Mapping[str, str] = {
    **{column: name for name, column in TABLE_1.items()},
    "reliability": "sequential_reliability",
    "generalization": "sequential_generalization",
}
#: The quantity behind an observation. ``{}`` stands for a capability, and ``L#`` for an attention
#: layer; equation 7 writes ``S_pq`` for what Table 14 calls ``S_qp``. Recall is teacher-forced, as
#: Table 2's must be: one fact after one edit has 80 %.
OBSERVATIONS: Mapping[str, str] = {
    "capability.{}.score": "{}",
    "capability.{}.retention": "{}.retention",
    "reliability.sequential.teacher_forced": "sequential_reliability",
    "reliability.individual.teacher_forced": "individual_reliability",
    "generalization.sequential.teacher_forced": "sequential_generalization",
    "generalization.individual.teacher_forced": "individual_generalization",
    "parameters.correlation": "similarity",
    "perplexity.text_ratio": "text_perplexity.ratio",
    "perplexity.prose_ratio": "prose_perplexity.ratio",
    "perplexity.answers": "answer_perplexity",
    "saliency_by_layer.s_wp.L#": "s_wp",
    "saliency_by_layer.s_pq.L#": "s_qp",
    "saliency_by_layer.s_ww.L#": "s_ww",
    "saliency.pattern.s_wp": "s_wp.likeness",
    "saliency.pattern.s_pq": "s_qp.likeness",
    "saliency.first_token.valid": "first_token.valid",
}

_CAPABILITY = re.compile(rf"\.({'|'.join(CAPABILITIES)})\.")
_LAYER = re.compile(r"\.L(\d+)$", re.ASCII)


def quantity_of(observation: str) -> tuple[str, int | None] | None:
    """The quantity of an observation and the attention layer, if it has one; None: no quantity."""
    layer = _LAYER.search(observation)
    name = _LAYER.sub(".L#", observation)
    capability = _CAPABILITY.search(name)
    found = OBSERVATIONS.get(_CAPABILITY.sub(".{}.", name))
    if found is None:
        return None
    return found.format(capability[1] if capability else ""), int(layer[1]) if layer else None


def is_of_capability(quantity: str) -> bool:
    """Whether a quantity depends on how capabilities are asked."""
    return quantity.partition(".")[0] in CAPABILITIES
