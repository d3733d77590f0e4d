"""Checks whose items are not there, left out by name before any long work."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from editsuite.measures.capabilities.absence import why_not
from editsuite.measures.capabilities.choice import Choice, capabilities_in
from editsuite.measures.saliency.source import SALIENCY, why_no_saliency
from editsuite.plugin.cases import measures_of


def leave_out(items: Iterable[pytest.Item], choice: Choice) -> None:
    """Mark checks of what is absent as skipped, with the reason.

    Raises:
        CapabilityError: a benchmark's files are there and damaged.
    """
    reasons: dict[str, str] = {}
    for item in items:
        measures = measures_of(item)
        for name in (*capabilities_in(measures), *({SALIENCY}.intersection(measures))):
            if name not in reasons:
                reasons[name] = _why_not(name, choice)
            if reasons[name]:
                item.add_marker(pytest.mark.skip(reason=reasons[name]))


def _why_not(name: str, choice: Choice) -> str:
    return why_no_saliency(choice) if name == SALIENCY else why_not(name, choice)
