"""The sandbox: programs in, verdicts out, and refusal where there is no isolation."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import editsuite.sandbox.inside as inside
from editsuite.errors import SandboxError
from editsuite.sandbox.bubblewrap import executables, room, started
from editsuite.sandbox.cell import Cell
from editsuite.sandbox.dialogue import Dialogue
from editsuite.sandbox.escape import prove
from editsuite.sandbox.interpreter import Interpreter, this_interpreter
from editsuite.sandbox.limits import Limits
from editsuite.sandbox.program import Program
from editsuite.sandbox.seccomp import seccomp_filter
from editsuite.sandbox.verdict import Verdict

INSIDE = Path(inside.__file__).parent


@dataclass
class Sandbox:
    """Where programs run. Made by ``open``, which proves that it holds; a context manager.

    Attributes:
        bwrap: the executable of bubblewrap.
        interpreter: what is shown of this Python.
        limits: what each program may use up.
        filter: the filter of system calls.
    """

    bwrap: Path
    interpreter: Interpreter
    limits: Limits
    filter: bytes
    _live: set[Cell] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    @classmethod
    def open(cls, limits: Limits | None = None) -> Sandbox:
        """A sandbox that has just been seen to hold.

        Each bubblewrap that is installed is tried; the first that holds is taken.

        Raises:
            SandboxError: there is none, with what is missing and the mend. There is no way to run
                a program without.
        """
        interpreter, filter_ = this_interpreter(), seccomp_filter(platform.machine())
        reasons = []
        for bwrap in executables():
            sandbox = cls(bwrap, interpreter, limits or Limits(), filter_)
            try:
                prove(sandbox._judge, sandbox.limits.memory_bytes, sandbox.limits.files_bytes)
            except SandboxError as error:
                reasons.append(f"{bwrap}: {error}")
            else:
                return sandbox
        raise SandboxError(
            "no sandbox holds here, so no code can be judged. " + "; ".join(reasons) + ". "
            "In a container allow user namespaces; where only AppArmor forbids them, install your "
            "distribution's bubblewrap, which has a profile"
        )

    def run(self, programs: Sequence[Program], workers: int | None = None) -> list[Verdict]:
        """Judge programs, several at once.

        Args:
            programs: in any number.
            workers: at once; the CPUs that this process may use, where nothing is said.

        Returns:
            Their verdicts, in the same order.

        Raises:
            SandboxError: the sandbox is closed, or a room did not come up. Nothing runs on.
        """
        workers = workers or len(os.sched_getaffinity(0))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        try:
            return list(pool.map(self._judge, programs))
        except BaseException:
            self._end()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End whatever runs, and let nothing start again."""
        self._closed = True
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _judge(self, program: Program) -> Verdict:
        size = len(program.code)
        if size > self.limits.source_bytes:
            most = self.limits.source_bytes
            return Verdict("error", 0, f"the source has {size} characters; at most {most} are read")
        cells: list[Cell] = []
        try:
            for role in ("candidate", "examiner"):
                cells.append(self._cell(f"editsuite.sandbox.inside.{role}"))
            return Dialogue(program, self.limits, *cells).verdict()
        finally:
            for cell in cells:
                with self._lock:
                    self._live.discard(cell)
                cell.close()

    def _cell(self, module: str) -> Cell:
        with self._lock:
            if self._closed:
                raise SandboxError("the sandbox is closed: open another")
            try:
                cell = Cell(partial(self._command, module), self.filter, self.limits.value_bytes)
            except OSError as error:
                raise SandboxError(f"cannot start {self.bwrap}: {error}") from error
            self._live.add(cell)
            return cell

    def _command(self, module: str, source: int, goal: int, seccomp: int) -> list[str]:
        limits = self.limits
        arguments = [source, goal, limits.cpu_s, limits.memory_bytes, limits.files_bytes]
        return [
            *room(self.bwrap, self.interpreter, INSIDE, limits.files_bytes, seccomp),
            *started(module, [*arguments, limits.value_bytes]),
        ]

    def _end(self) -> None:
        with self._lock:
            for cell in self._live:
                cell.kill()
