"""The sandbox as the judge of programs that a model writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from editsuite.sandbox import Program, Sandbox


@dataclass(frozen=True)
class SandboxJudge:
    """Opens the sandbox with the first program; a run without code checks needs none."""

    @cached_property
    def _sandbox(self) -> Sandbox:
        return Sandbox.open()

    def __call__(self, program: str, setup: str, tests: Sequence[str]) -> bool:
        """Whether a program passes all tests.

        Raises:
            SandboxError: there is no isolation here, or a test is none.
        """
        (verdict,) = self._sandbox.run([Program(program, tuple(tests), setup)])
        return verdict.passed
