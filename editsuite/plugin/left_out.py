"""Checks of what cannot be asked here, left out by name before any long work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest

from editsuite.errors import AbsentError
from editsuite.measures.capabilities.absence import why_not
from editsuite.measures.capabilities.choice import Choice, capabilities_in
from editsuite.measures.questions import questions_of
from editsuite.measures.saliency.source import SALIENCY, why_no_saliency
from editsuite.plugin.cases import measures_of

#: The measure of free answers, which asks CommonsenseQA where the benchmarks' files are named.
ANSWERS = "answers"


def leave_out(items: Iterable[pytest.Item], choice: Choice) -> None:
    """Mark checks of what is absent as skipped, with the reason.

    Raises:
        CapabilityError: a benchmark's files are there and damaged.
    """
    reasons: dict[str, str] = {}
    for item in items:
        measures = measures_of(item)
        for name in (*capabilities_in(measures), *_OTHERS.keys() & {*measures}):
            if name not in reasons:
                reasons[name] = _why_not(name, choice)
            if reasons[name]:
                item.add_marker(pytest.mark.skip(reason=reasons[name]))


def _no_questions(choice: Choice) -> str:
    """Why there is nothing to answer; empty where there is."""
    try:
        questions_of(choice)
    except AbsentError as error:
        return str(error)
    return ""


#: What else asks the benchmarks' files, and why it cannot be asked.
_OTHERS: Mapping[str, Callable[[Choice], str]] = {
    SALIENCY: why_no_saliency,
    ANSWERS: _no_questions,
}


def _why_not(name: str, choice: Choice) -> str:
    other = _OTHERS.get(name)
    return other(choice) if other else why_not(name, choice)
