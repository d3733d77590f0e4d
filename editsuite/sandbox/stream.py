"""Bytes that come out of the sandbox, never more of them than was agreed."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from editsuite.sandbox.inside.frames import LENGTH
from editsuite.sandbox.verdict import HEAD, shown

PIECE = 1 << 16


class Pipe(ABC):
    """The reading end of a pipe.

    Args:
        descriptor: becomes non-blocking.

    Attributes:
        open: whether more may come.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.open = True

    def pull(self) -> None:
        """Read what is there, a piece at most."""
        try:
            piece = os.read(self.descriptor, PIECE)
        except BlockingIOError:
            return
        self.open = bool(piece)
        self._keep(piece)

    @abstractmethod
    def _keep(self, piece: bytes) -> None:
        """Take what was read."""


class Stream(Pipe):
    """Standard output or standard error: the head is kept, the rest counted and dropped.

    Attributes:
        total: bytes so far.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.total = 0
        self._head = bytearray()

    def _keep(self, piece: bytes) -> None:
        self.total += len(piece)
        # A character takes four bytes at most.
        self._head += piece[: max(0, 4 * HEAD - len(self._head))]

    @property
    def head(self) -> str:
        """The first of it, harmless to print; lines stay lines."""
        text = self._head.decode("utf-8", "replace")[: HEAD + 1]
        return "\n".join(shown(line, HEAD) for line in text.split("\n"))


class Messages(Pipe):
    """Framed messages.

    Args:
        descriptor: becomes non-blocking.
        most: bytes of one message.
    """

    def __init__(self, descriptor: int, most: int) -> None:
        super().__init__(descriptor)
        self._most = most
        self._read = bytearray()

    def _keep(self, piece: bytes) -> None:
        self._read += piece

    def take(self) -> bytes | None:
        """The next whole message, if there is one.

        Raises:
            OverflowError: it announces more than was agreed.
        """
        size = int.from_bytes(self._read[:LENGTH], "big")
        if len(self._read) >= LENGTH and size > self._most:
            raise OverflowError(f"a message of {size} bytes; at most {self._most}")
        if len(self._read) < LENGTH or len(self._read) < LENGTH + size:
            return None
        message = bytes(self._read[LENGTH : LENGTH + size])
        del self._read[: LENGTH + size]
        return message

    @property
    def left(self) -> bool:
        """Whether bytes lie there that nobody has taken."""
        return bool(self._read)
