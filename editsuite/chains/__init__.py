"""Chains: the plan, the journal, and the states of a model."""

from editsuite.chains.chain import Chain
from editsuite.chains.journal import Entry, Journal
from editsuite.chains.opening import Editing, hyperparameters_of, open_chain
from editsuite.chains.plan import Plan, requests_digest
from editsuite.chains.progress import JournalWarning, Progress
from editsuite.chains.state import EditedWeight, ModelState

__all__ = [
    "Chain",
    "EditedWeight",
    "Editing",
    "Entry",
    "Journal",
    "JournalWarning",
    "ModelState",
    "Plan",
    "Progress",
    "hyperparameters_of",
    "open_chain",
    "requests_digest",
]
