"""The programs of one call, and a way to end them all at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from editsuite.errors import SandboxError
from editsuite.sandbox.cell import Cell
from editsuite.sandbox.dialogue import Dialogue
from editsuite.sandbox.limits import Limits
from editsuite.sandbox.program import Program
from editsuite.sandbox.verdict import Verdict

ROLES = ("candidate", "examiner")


class Batch:
    """Judges programs, several at once.

    Args:
        start: makes the cell of a role.
        limits: what each program may use up.
    """

    def __init__(self, start: Callable[[str], Cell], limits: Limits) -> None:
        self._start = start
        self._limits = limits
        self._lock = threading.Lock()
        self._live: set[Cell] = set()
        self._stopped = False

    def run(self, programs: Sequence[Program], workers: int) -> list[Verdict]:
        """The verdicts, in the programs' order.

        Raises:
            SandboxError: a room did not come up, or the batch was stopped. Nothing runs on.
        """
        # A room ends with the thread that started it; so a thread keeps a program to its end.
        pool = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        try:
            return list(pool.map(self._judge, programs))
        except BaseException:
            self.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """End whatever runs, and let nothing start again."""
        with self._lock:
            self._stopped = True
            for cell in self._live:
                cell.kill()

    def _judge(self, program: Program) -> Verdict:
        most = self._limits.source_bytes
        if len(program.code) > most:
            detail = f"the source has {len(program.code)} characters; at most {most} are read"
            return Verdict("error", 0, detail)
        cells: list[Cell] = []
        try:
            for role in ROLES:
                cells.append(self._cell(role))
            verdict = Dialogue(program, self._limits, *cells).verdict()
        finally:
            for cell in cells:
                with self._lock:
                    self._live.discard(cell)
                cell.close()
        self._refuse_stopped()  # what was ended from outside has no verdict
        return verdict

    def _cell(self, role: str) -> Cell:
        with self._lock:
            self._refuse_stopped()
            cell = self._start(role)
            self._live.add(cell)
            return cell

    def _refuse_stopped(self) -> None:
        if self._stopped:
            raise SandboxError("the sandbox was closed or interrupted: open another")
