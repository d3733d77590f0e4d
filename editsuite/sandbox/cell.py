"""One process in a room of its own, seen from outside."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from editsuite.sandbox.folder import Folder
from editsuite.sandbox.inside.frames import framed
from editsuite.sandbox.stream import Messages, Pipe, Stream

#: Room for a message's mark and an answer's own words beside the value.
ENVELOPE = 4096
#: Seconds for the kernel to take a whole namespace of processes down.
DYING_S = 10.0

Command = Callable[[int, int, int, int], list[str]]


class Cell:
    """A running process, its four pipes, and how to end it.

    Args:
        command: makes the command line from four descriptors: where its messages come from,
            where its own go, where the filter of system calls can be read, and by what it hands
            out its folder.
        filter_: the filter's bytes.
        most: bytes of one value.
    """

    def __init__(self, command: Command, filter_: bytes, most: int) -> None:
        source, self._requests = os.pipe()
        replies, goal = os.pipe()
        seccomp, filling = os.pipe()
        self.folder = Folder()
        inner = (source, goal, seccomp, self.folder.goal)
        try:
            os.write(filling, filter_)  # less than a pipe holds
            os.close(filling)
            self._process = subprocess.Popen(
                command(*inner),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=inner,
                env={},
                # Ctrl-C is for the process that judges; it ends the others.
                start_new_session=True,
            )
        except BaseException:
            os.close(self._requests)
            os.close(replies)
            self.folder.close()
            raise
        finally:
            for descriptor in inner:
                os.close(descriptor)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout = Stream(self._process.stdout.fileno())
        self.stderr = Stream(self._process.stderr.fileno())
        self.messages = Messages(replies, most + ENVELOPE)
        self._unsent = bytearray()
        os.set_blocking(self._requests, False)

    @property
    def pipes(self) -> tuple[Pipe, ...]:
        """All that can be read from."""
        return self.messages, self.stdout, self.stderr

    @property
    def interests(self) -> Iterator[tuple[int, int, Callable[[], None]]]:
        """Descriptors to wait for, with what for (``select.poll``), and what is to be done then."""
        for pipe in self.pipes:
            if pipe.open:
                yield pipe.descriptor, select.POLLIN, pipe.pull
        if self._unsent:
            yield self._requests, select.POLLOUT, self._flush

    def send(self, body: bytes) -> None:
        """Send a message, now or as soon as the other side reads."""
        self._unsent += framed(body)
        self._flush()

    def _flush(self) -> None:
        """Send what fits. What is for a process that has gone is dropped."""
        try:
            del self._unsent[: os.write(self._requests, self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent.clear()

    def status(self, patience_s: float) -> int | None:
        """How it ended, as a shell tells it (128 and more: a signal); None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(patience_s)
            return status if status >= 0 else 128 - status
        return None

    def kill(self) -> None:
        """End it, and all that it may have started, whatever they do."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        """End it and wait until nothing of it is left."""
        self.kill()
        self._process.wait()
        # The last of its processes takes the pipe's other end with it.
        until = time.monotonic() + DYING_S
        with suppress(OSError):
            while (left := until - time.monotonic()) > 0:
                ready, _, _ = select.select([self.messages.descriptor], [], [], left)
                if not ready or not os.read(self.messages.descriptor, 1 << 16):
                    break
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        os.close(self._requests)
        os.close(self.messages.descriptor)
        self.folder.close()


def move(cells: Iterable[Cell], timeout_s: float) -> None:
    """Wait until bytes can be moved out of or into any of the cells, and move them."""
    poll = select.poll()
    acts = {}
    for cell in cells:
        for descriptor, events, act in cell.interests:
            poll.register(descriptor, events)
            acts[descriptor] = act
    for descriptor, _ in poll.poll(max(0.0, timeout_s) * 1000):
        acts[descriptor]()
