"""Facts: what is taught to a model, where it is read from, and how it is tokenized."""

from editsuite.facts.factset import FactSet, Rejection, parse_seed
from editsuite.facts.request import EditRequest, subject_span
from editsuite.facts.sources import load_facts
from editsuite.facts.targets import TokenizedTarget, subject_last_token, target_tokens

__all__ = [
    "EditRequest",
    "FactSet",
    "Rejection",
    "TokenizedTarget",
    "load_facts",
    "parse_seed",
    "subject_last_token",
    "subject_span",
    "target_tokens",
]
