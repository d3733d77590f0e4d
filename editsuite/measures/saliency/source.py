"""Which prompts a run measures saliency on; importing this imports no model."""

from __future__ import annotations

from editsuite.errors import AbsentError
from editsuite.measures.capabilities.choice import HUB, Choice
from editsuite.measures.saliency.sentences import NAME, Sentence, read_sst2
from editsuite.measures.saliency.shots import Shot, builtin_shots, one_shot

#: The measure's name.
SALIENCY = "saliency"


def shots_of(choice: Choice) -> tuple[Shot, ...]:
    """Prompts about this project's sentences, or with ``--edit-data`` about SST-2's.

    Raises:
        AbsentError: SST-2 is not there.
        CapabilityError: its file is damaged.
    """
    found = _sst2(choice)
    return builtin_shots() if found is None else one_shot(found, choice.items, choice.seed)


def why_no_saliency(choice: Choice) -> str:
    """Why saliency cannot be measured here, and the mend; empty where it can.

    Raises:
        CapabilityError: the file of SST-2 is there and damaged.
    """
    try:
        _sst2(choice)
    except AbsentError as error:
        return str(error)
    return ""


def _sst2(choice: Choice) -> tuple[Sentence, ...] | None:
    """SST-2's sentences; None where this project's own are asked."""
    if choice.data is None:
        return None
    if str(choice.data) == HUB:
        mend = "give --edit-data a folder that holds sst2/dev.tsv"
        raise AbsentError(NAME, HUB, "is read from a folder only", mend)
    return read_sst2(choice.data)
