"""Messages on a pipe: four bytes of length, then the body."""

from __future__ import annotations

import os

LENGTH = 4


def framed(body: bytes) -> bytes:
    """A body with its length before it."""
    return len(body).to_bytes(LENGTH, "big") + body


class Channel:
    """One side of a dialogue over two descriptors, from within the sandbox.

    Args:
        source: descriptor that messages come from.
        goal: descriptor that messages go to.
    """

    def __init__(self, source: int, goal: int) -> None:
        self._source = source
        self._goal = goal

    def send(self, body: bytes) -> None:
        """Write one message."""
        rest = memoryview(framed(body))
        while rest:
            rest = rest[os.write(self._goal, rest) :]

    def receive(self) -> bytes:
        """Read one message.

        Raises:
            EOFError: the other side has gone.
        """
        return self._exactly(int.from_bytes(self._exactly(LENGTH), "big"))

    def _exactly(self, number: int) -> bytes:
        read = bytearray()
        while len(read) < number:
            piece = os.read(self._source, min(number - len(read), 1 << 16))
            if not piece:
                raise EOFError
            read += piece
        return bytes(read)
