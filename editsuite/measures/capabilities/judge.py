"""The sandbox as the judge of programs that a model wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editsuite.measures.capabilities.programs import ProcessResults, scored_by
from editsuite.sandbox import Program, Sandbox

#: The capability whose answers are run.
CODE = "code"


@dataclass(frozen=True)
class SandboxJudge:
    """Runs programs in a sandbox; a `Judge`.

    Attributes:
        sandbox: an open one.
    """

    sandbox: Sandbox

    def __call__(
        self, program: str, setup: str, tests: Sequence[str], names: frozenset[str]
    ) -> bool:
        """Whether a program passes all tests.

        Raises:
            SandboxError: there are no tests, one asserts nothing, or the sandbox is closed.
        """
        asked = Program(program, tuple(tests), setup, names)
        (verdict,) = self.sandbox.run([asked], workers=1)
        return verdict.passed


def judged_by(capability: str) -> ProcessResults | None:
    """What scores a capability's replies in place of its task file: for code, the sandbox.

    Raises:
        SandboxError: code is asked and there is no isolation here.
    """
    return scored_by(SandboxJudge(Sandbox.open())) if capability == CODE else None
