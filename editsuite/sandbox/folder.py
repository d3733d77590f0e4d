"""A program's private folder, watched from outside.

A tmpfs of a given size holds as many empty files as the kernel's own memory bears, and no limit
of a process counts them: a million in five seconds, 0.9 GB of the kernel's, were seen. So the
process hands its folder's descriptor out before it reads a word of the program, and the files
are counted through that.
"""

from __future__ import annotations

import os
import socket

from editsuite.errors import SandboxError


class Folder:
    """How many files a room's folder has.

    Attributes:
        goal: descriptor that the room sends its folder's by; to be closed once it has started.
    """

    def __init__(self) -> None:
        self._socket, inner = socket.socketpair()
        self._socket.setblocking(False)
        self.goal = inner.detach()
        self._descriptor: int | None = None

    def receive(self) -> None:
        """Take the descriptor, and nothing after it.

        Raises:
            SandboxError: it did not come.
        """
        try:
            _, descriptors, _, _ = socket.recv_fds(self._socket, 1, 1)
        except OSError:
            descriptors = []
        self._socket.close()
        if not descriptors:
            raise SandboxError("a sandbox started without showing its folder")
        self._descriptor = descriptors[0]

    @property
    def files(self) -> int:
        """Files, folders and links that lie there, however deep; 0 before it was received."""
        if self._descriptor is None:
            return 0
        found = os.statvfs(self._descriptor)
        return found.f_files - found.f_ffree

    def close(self) -> None:
        """Let go of it: as long as it is held, the files are there."""
        self._socket.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
