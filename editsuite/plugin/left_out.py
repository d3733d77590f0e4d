"""Checks of what cannot be asked here, left out by name before any long work."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from editsuite.errors import AbsentError
from editsuite.measures.capabilities.absence import why_not
from editsuite.measures.capabilities.choice import Choice, capabilities_in
from editsuite.measures.questions import questions_of
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
        for name in capabilities_in(measures_of(item)):
            if name not in reasons:
                reasons[name] = why_not(name, choice)
            if reasons[name]:
                item.add_marker(pytest.mark.skip(reason=reasons[name]))
        if ANSWERS in measures_of(item):
            if ANSWERS not in reasons:
                reasons[ANSWERS] = _no_questions(choice)
            if reasons[ANSWERS]:
                item.add_marker(pytest.mark.skip(reason=reasons[ANSWERS]))


def _no_questions(choice: Choice) -> str:
    """Why there is nothing to answer; empty where there is."""
    try:
        questions_of(choice)
    except AbsentError as error:
        return str(error)
    return ""
