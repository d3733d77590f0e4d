"""The sandbox: programs in, verdicts out, and refusal where there is no isolation."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import editsuite.sandbox.inside as inside
from editsuite.errors import SandboxError
from editsuite.sandbox.batch import Batch
from editsuite.sandbox.bubblewrap import executables, room, started
from editsuite.sandbox.cell import Cell
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
    _batches: set[Batch] = field(default_factory=set)
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
        if platform.system() != "Linux":
            raise SandboxError(
                f"code is judged in a sandbox only, and that needs Linux; this is "
                f"{platform.system()}: run the checks of code in a Linux container"
            )
        interpreter, filter_ = this_interpreter(), seccomp_filter(platform.machine())
        reasons = []
        for bwrap in executables():
            sandbox = cls(bwrap, interpreter, limits or Limits(), filter_)
            try:
                prove(sandbox)
            except SandboxError as error:
                reasons.append(f"{bwrap}: {error}")
            else:
                return sandbox
        raise SandboxError(
            "no sandbox holds here, so no code can be judged. " + "; ".join(reasons) + ". "
            "In a container, allow user namespaces; on Ubuntu, allow them for programs without an "
            "AppArmor profile (sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
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
        batch = Batch(self._cell, self.limits)
        with self._lock:
            if self._closed:
                raise SandboxError("the sandbox is closed: open another")
            self._batches.add(batch)
        try:
            return batch.run(programs, workers or len(os.sched_getaffinity(0)))
        finally:
            with self._lock:
                self._batches.discard(batch)

    def close(self) -> None:
        """End whatever runs, and let nothing start again."""
        with self._lock:
            self._closed = True
            for batch in self._batches:
                batch.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _cell(self, role: str) -> Cell:
        command = partial(self._command, f"editsuite.sandbox.inside.{role}")
        try:
            return Cell(command, self.filter, self.limits.value_bytes)
        except OSError as error:
            raise SandboxError(f"cannot start {self.bwrap}: {error}") from error

    def _command(self, module: str, source: int, goal: int, seccomp: int, folder: int) -> list[str]:
        limits = self.limits
        arguments = [source, goal, folder, limits.cpu_s, limits.memory_bytes, limits.files_bytes]
        return [
            *room(self.bwrap, self.interpreter, INSIDE, limits.files_bytes, seccomp),
            *started(module, [*arguments, limits.value_bytes]),
        ]
