"""From a case of a run to what its chain edits."""

from __future__ import annotations

from editsuite.chains import Editing
from editsuite.editors import method
from editsuite.facts import EditRequest
from editsuite.runs.case import Case
from editsuite.runs.settings import RunSettings


def editing_of(
    case: Case, settings: RunSettings, facts: str, order: tuple[EditRequest, ...]
) -> Editing:
    """What a case edits: its method at its layers, the facts in the run's order."""
    return Editing(
        method(case.method),
        case.layers,
        order,
        facts,
        settings.seed,
        settings.context_seed,
        settings.hyperparameters,
        case.batch,
    )
