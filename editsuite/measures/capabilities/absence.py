"""Why a capability cannot be asked here, known before any long work."""

from __future__ import annotations

from importlib.util import find_spec

from editsuite.errors import AbsentError, SandboxError
from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.capabilities.judge import CODE
from editsuite.sandbox import Sandbox


def why_not(capability: str, choice: Choice) -> str:
    """The reason and the mend; empty where it can be asked.

    Raises:
        CapabilityError: a benchmark's files are there and damaged.
    """
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
