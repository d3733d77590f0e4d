"""The limits that a process sets on itself before it reads a word of anybody's code.

Hard limits: nobody within can raise them again. The clock on the wall is not here: it hangs
outside, where nobody within can stop it.
"""

from __future__ import annotations

import _socket
import os
import resource
import sys

#: Open descriptors. A pipe keeps up to 1 MiB that no limit counts.
OPEN_FILES = 32


def confine(folder: int, cpu_s: int, memory_bytes: int, files_bytes: int) -> None:
    """Hand out the folder by the socket ``folder``; limit this process and all that it becomes.

    The soft limit of CPU time raises SIGXCPU; who ignores that is killed a second later.
    """
    _hand_out(folder)
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_AS, memory_bytes, memory_bytes),
        (resource.RLIMIT_FSIZE, files_bytes, files_bytes),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_NPROC, 1, 1),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_SIGPENDING, 16, 16),  # timers, too
    ):
        resource.setrlimit(kind, (soft, hard))


def _hand_out(goal: int) -> None:
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    # The module ``socket`` takes long to import.
    to_outside = _socket.socket(fileno=goal)
    rights = here.to_bytes(4, sys.byteorder)
    to_outside.sendmsg([b"/"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    to_outside.close()
    os.close(here)
