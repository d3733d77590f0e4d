"""CPU threads: a share for each process, and all of them for an edit that runs alone.

An edit's bits do not depend on threads (see ``editsuite.engine.linear``), so their number may
follow the work. Threads that wait for one another cost more than they bring as soon as another
process wants the same CPUs: an edit on two threads beside a busy neighbour was seen to take four
times as long. So every process marks when it computes, and who is not alone keeps to its share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from editsuite.engine import DecoderStack, threads_keep_bits


class Threads:
    """The CPUs of a machine among the processes that work on one cache.

    Args:
        folder: where processes mark that they compute; made when first needed.
        everything: threads for an edit that runs alone; None keeps every edit to the share,
            which is the number of threads that torch had at the beginning.
    """

    def __init__(self, folder: Path, everything: int | None) -> None:
        self._folder = folder
        self._share = torch.get_num_threads()
        self._everything = everything if threads_keep_bits() else None

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Within, other processes see that this one computes."""
        mark = self._folder / str(os.getpid())
        outer = mark.exists()
        self._folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
        try:
            yield
        finally:
            if not outer:
                mark.unlink(missing_ok=True)

    @contextmanager
    def editing(self, stack: DecoderStack) -> Iterator[None]:
        """Within, every forward pass takes all threads if no other process computes."""
        if self._everything is None or self._everything <= self._share:
            with self.busy():
                yield
            return
        try:
            with self.busy(), stack.paced(self._adapt):
                yield
        finally:
            torch.set_num_threads(self._share)

    def _adapt(self) -> None:
        alone = self._everything is not None and not self._others()
        wanted = self._everything if alone and self._everything else self._share
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)

    def _others(self) -> bool:
        mine = str(os.getpid())
        for name in os.listdir(self._folder):
            if name == mine or not name.isdecimal():
                continue
            if psutil.pid_exists(int(name)):
                return True
            (self._folder / name).unlink(missing_ok=True)  # it was killed
        return False
