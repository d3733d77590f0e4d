"""Checks of capabilities that cannot be asked here, left out by name before any long work."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

import pytest

from editsuite.errors import AbsentError, SandboxError
from editsuite.measures.capabilities.choice import Choice, capabilities_in
from editsuite.measures.capabilities.judge import CODE
from editsuite.plugin.cases import measures_of
from editsuite.sandbox import Sandbox


def leave_out(items: Iterable[pytest.Item], choice: Choice) -> None:
    """Mark checks of what is absent as skipped, with the reason.

    Raises:
        CapabilityError: a benchmark's files are there and damaged.
    """
    reasons: dict[str, str] = {}
    for item in items:
        for name in capabilities_in(measures_of(item)):
            if name not in reasons:
                reasons[name] = _why_not(name, choice)
            if reasons[name]:
                item.add_marker(pytest.mark.skip(reason=reasons[name]))


def _why_not(capability: str, choice: Choice) -> str:
    if find_spec("lm_eval") is None:
        mend = "run `pip install 'editsuite[capabilities]'`"
        return f"capabilities need the extra `capabilities`; {mend}"
    try:
        if (source := choice.source()) is not None:
            source.documents(choice.benchmark(capability).name)
        if capability == CODE:
            with Sandbox.open():
                pass
    except (AbsentError, SandboxError) as error:
        return str(error)
    return ""
