"""What became of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Outcome = Literal[
    "passed",  # every check ran and held
    "failed",  # a check did not hold
    "error",  # the program or a check raised an exception
    "opaque",  # a check compares an object of the program's own making, which is never believed
    "ended",  # the program ended, or closed its channel, before the checks were through
    "killed",  # a signal ended it
    "timeout",  # too much CPU time or wall time
    "memory",  # it ran out of memory
    "output",  # it printed too much
    "files",  # it made too many files
    "forged",  # it wrote into the channel what nobody had asked for, or no value at all
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

#: Characters of a detail, and of a stream's head, that people are shown.
DETAIL, HEAD = 300, 2000


@dataclass(frozen=True)
class Verdict:
    """What became of a program.

    Attributes:
        outcome: one of ``OUTCOMES``.
        executed: checks that ran, asked the program, and held.
        detail: one line for people, harmless to print; empty where all checks held.
        stdout: the first of what the program printed, harmless to print.
        stderr: the same of its standard error.
    """

    outcome: Outcome
    executed: int
    detail: str = ""
    stdout: str = ""
    stderr: str = ""

    @property
    def passed(self) -> bool:
        """Whether every check ran and held."""
        return self.outcome == "passed"


def shown(text: str, most: int = DETAIL) -> str:
    """Text as it can be printed on any terminal: control characters escaped, and cut.

    What a program says of itself goes through here, so that it cannot move the cursor, rename
    the window, or fill the screen.
    """
    cut = text[:most]
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return clean + ("..." if len(text) > most else "")
