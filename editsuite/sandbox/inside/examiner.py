"""The process that holds the checks: it runs them, and never a line of the program.

The names that the program defines are stand-ins here (``asking``); what comes back from them is
plain data of this process's own types, so ``==``, ``sorted`` and ``isclose`` are Python's own.
"""

from __future__ import annotations

import builtins
import sys

from editsuite.sandbox.inside.asking import Asker, ForgedError
from editsuite.sandbox.inside.candidate import READY
from editsuite.sandbox.inside.confine import confine
from editsuite.sandbox.inside.frames import Channel
from editsuite.sandbox.inside.plain import Reader

TYPE_CHECKING = False  # as typing has it, which is slow to import
if TYPE_CHECKING:
    from typing import Any

#: A text of Python; its free names; those of them that it reads attributes of.
Text = tuple[str, tuple[str, ...], tuple[str, ...]]

#: First byte of what this process says: a question to the program, or the fate of a check.
QUESTION, HELD, FAILED = b"?", b"+", b"-"


class Examiner:
    """Runs checks one after another.

    Args:
        asker: reaches the program.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._own: set[str] = set()  # names that the setup bound
        self._given: dict[str, Any] = {}  # what free names were given latest
        self._space: dict[str, Any] = {"__builtins__": builtins, "__name__": "checks"}

    def loaded(self, answer: bytes) -> tuple[str, str] | None:
        """Hear how the program fared when it was run; its outcome and detail if badly."""
        try:
            self._asker.hear(answer)
        except BaseException as error:
            return self._fate(error, "")
        return None

    def prepare(self, setup: Text) -> tuple[str, str] | None:
        """Run the setup; its outcome and detail if that fails."""
        fate = self._run(setup, "setup")
        own = {n for n, v in self._space.items() if n not in self._given or self._given[n] is not v}
        self._own = own
        return fate

    def check(self, check: Text) -> tuple[str, str] | None:
        """Run one check; its outcome and detail if it does not hold."""
        before = self._asker.asked
        fate = self._run(check, check[0])
        if fate is None and self._asker.asked == before:
            return "error", f"{check[0]}: this check asks the program nothing"
        return fate

    def _run(self, text: Text, title: str) -> tuple[str, str] | None:
        asker = self._asker
        asker.raised = None
        try:
            self._give(*text[1:])
            exec(compile(text[0], "<check>", "exec"), self._space)
        except BaseException as error:
            return self._fate(error, title)
        return ("opaque", f"{title}: {asker.opaque}") if asker.opaque else None

    def _fate(self, error: BaseException, title: str) -> tuple[str, str]:
        where = f"{title}: " if title else ""
        if isinstance(error, ForgedError):
            return "forged", str(error)
        if self._asker.opaque:
            return "opaque", where + self._asker.opaque
        if self._asker.raised is not None and error is self._asker.raised[0]:
            return _outcome(error), f"{where}the program raised {self._asker.raised[1]}"
        if isinstance(error, AssertionError):
            return "failed", f"{where}the program gave {_written(self._asker.last)}"
        return _outcome(error), f"{where}{type(error).__name__}: {error}"

    def _give(self, names: tuple[str, ...], read: tuple[str, ...]) -> None:
        """Give every free name its stand-in, or the standard library's module."""
        self._given = {}
        for name in names:
            if name in self._own:
                continue
            self._space.pop(name, None)
            standard = name in sys.stdlib_module_names
            # ``math.isclose`` decides a check, so ``math`` is never the program's.
            found = () if standard and name in read else self._asker.name(name)
            if found:
                self._given[name] = found[0]
            elif standard:
                self._given[name] = __import__(name)
        self._space.update(self._given)


def _outcome(error: BaseException) -> str:
    return "memory" if isinstance(error, MemoryError) else "error"


def _written(value: object) -> str:
    """A value for people; never at the price of the verdict."""
    try:
        text = repr(value)
    except BaseException as error:
        return f"a {type(value).__name__} ({type(error).__name__} when written out)"
    return text[:120] + ("..." if len(text) > 120 else "")


def main() -> None:
    """Examine one program."""
    source, goal, *limits, most = map(int, sys.argv[1:])
    confine(*limits)
    channel = Channel(source, goal)
    channel.send(READY)

    def exchange(question: bytes) -> bytes:
        channel.send(QUESTION + question)
        return channel.receive()

    # From the process that started this one: no objects in it.
    parts: Any = Reader(channel.receive(), lambda *_: None).read()
    examiner = Examiner(Asker(exchange, most))
    fate = examiner.loaded(channel.receive()) or examiner.prepare(parts[0])
    for check in () if fate else parts[1:]:
        fate = examiner.check(check)
        if fate is not None:
            break
        channel.send(HELD)
    if fate is not None:
        channel.send(FAILED + f"{fate[0]}\n{fate[1]}".encode("utf-8", "replace"))
