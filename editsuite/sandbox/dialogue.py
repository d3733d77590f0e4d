"""From a program to its verdict: questions to it, answers to the checks.

This process relays bytes between two cells and reads none of the values in them. What it believes
comes by the examiner's pipe, which the program's process never had.
"""

from __future__ import annotations

import signal
import time
from typing import NoReturn

from editsuite.errors import SandboxError
from editsuite.sandbox.cell import Cell, move
from editsuite.sandbox.inside.candidate import READY
from editsuite.sandbox.inside.examiner import FAILED, HELD, QUESTION
from editsuite.sandbox.inside.plain import Writer
from editsuite.sandbox.limits import Limits
from editsuite.sandbox.program import Program
from editsuite.sandbox.verdict import OUTCOMES, Outcome, Verdict, shown

#: Seconds for two interpreters to start. Not the program's time: it has not been read yet.
STARTING_S = 60.0
#: Seconds for a process that closed its channel to end, before it is taken to live on without.
ENDING_S = 0.5
#: Seconds between two counts of the program's files.
COUNTING_S = 0.05
SIGNALLED = 128
MOST_CHECKS = 1 << 30  # bytes


class _Decided(Exception):  # noqa: N818  (no error: the end of every dialogue)
    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


class Dialogue:
    """Leads one program to its verdict.

    Args:
        program: what is judged.
        limits: what it may use up.
        candidate: the cell that will hold the program.
        examiner: the cell that will hold the checks.
    """

    def __init__(self, program: Program, limits: Limits, candidate: Cell, examiner: Cell) -> None:
        self._program = program
        self._limits = limits
        self._candidate = candidate
        self._examiner = examiner
        self._executed = 0
        self._owed = 0  # answers that the program has been asked for

    def verdict(self) -> Verdict:
        """Run the program and its checks.

        Raises:
            SandboxError: a cell did not come up.
        """
        self._start(time.monotonic() + STARTING_S)
        try:
            self._proceed(time.monotonic() + self._limits.wall_s)
        except _Decided as decided:
            out, err = self._candidate.stdout.head, self._candidate.stderr.head
            return Verdict(decided.outcome, self._executed, shown(decided.detail), out, err)

    def _start(self, until: float) -> None:
        """Wait for both: until a cell is ready, all that comes out of it is bubblewrap's."""
        for cell in (self._candidate, self._examiner):
            while (message := cell.messages.take()) is None:
                if not cell.messages.open or time.monotonic() > until:
                    move([cell], 0.1)  # what it may have said last
                    said = cell.stderr.head.strip() or f"no word within {STARTING_S:g} s"
                    raise SandboxError(f"a sandbox did not start: {shown(said)}")
                move((self._candidate, self._examiner), until - time.monotonic())
            if message != READY:
                raise SandboxError(f"a sandbox started with {message[:40]!r}, not with {READY!r}")
            cell.folder.receive()

    def _proceed(self, until: float) -> NoReturn:
        self._examiner.send(Writer(_no_objects, MOST_CHECKS).write(self._program.texts))
        self._ask(self._program.code.encode("utf-8", "surrogatepass"))
        while True:
            self._hear_candidate()
            self._hear_examiner()
            self._watch(until)
            left_s = until - time.monotonic()
            move((self._candidate, self._examiner), min(left_s, COUNTING_S))

    def _ask(self, question: bytes) -> None:
        self._owed += 1
        self._candidate.send(question)

    def _hear_candidate(self) -> None:
        messages = self._candidate.messages
        try:
            while self._owed and (answer := messages.take()) is not None:
                self._owed -= 1
                self._examiner.send(answer)
        except OverflowError as error:
            raise _Decided("forged", str(error)) from error
        if messages.left and not self._owed:
            raise _Decided("forged", "the program wrote into the channel unasked")

    def _hear_examiner(self) -> None:
        while (message := self._examiner.messages.take()) is not None:
            mark, content = message[:1], message[1:]
            if mark == QUESTION:
                self._ask(content)
            elif mark == HELD:
                self._executed += 1
                if self._executed == len(self._program.checks):
                    raise _Decided("passed")
            elif mark == FAILED:
                name, _, detail = content.decode("utf-8", "replace").partition("\n")
                raise _Decided(next(o for o in OUTCOMES if o == name), detail)

    def _watch(self, until: float) -> None:
        """End what has gone, wrote too much, or takes too long."""
        for stream in (self._candidate.stdout, self._candidate.stderr):
            if stream.total > self._limits.output_bytes:
                raise _Decided("output", f"more than {self._limits.output_bytes} bytes printed")
        if self._candidate.folder.files > self._limits.files:
            raise _Decided("files", f"more than {self._limits.files} files")
        # One that has answered may go: the checks may need no more of it.
        if self._owed and not self._candidate.messages.open:
            raise self._gone(self._candidate, "the program")
        if not self._examiner.messages.open:
            raise self._gone(self._examiner, "the process of the checks")
        if time.monotonic() > until:
            raise _Decided("timeout", f"more than {self._limits.wall_s:g} s")

    def _gone(self, cell: Cell, who: str) -> _Decided:
        status = cell.status(ENDING_S)
        if status is None:
            return _Decided("ended", f"{who} closed its channel")
        if status == SIGNALLED + signal.SIGXCPU:
            return _Decided("timeout", f"{who} took more than {self._limits.cpu_s} s of CPU time")
        if status > SIGNALLED:
            names = {int(s): s.name for s in signal.Signals}
            name = names.get(status - SIGNALLED, str(status - SIGNALLED))
            return _Decided("killed", f"{who} was ended by {name}")
        return _Decided("ended", f"{who} ended with status {status} before the checks were through")


def _no_objects(value: object) -> int:
    raise TypeError(f"no plain value: {value!r}")
