"""The process that holds the program: runs it once, then does what the checks ask of it.

Nothing here is safe from the program, and nothing needs to be: it can do no more than answer, and
an answer is a value that the program might as well have computed.
"""

from __future__ import annotations

import sys

from editsuite.sandbox.inside.confine import confine
from editsuite.sandbox.inside.frames import Channel
from editsuite.sandbox.inside.plain import NotPlainError, Reader, Writer

TYPE_CHECKING = False  # as typing has it, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ModuleType = type(sys)
SOURCE = "<program>"
READY = b"ready"
#: First part of an answer.
VALUE, RAISED, ABSENT, STOP, OPAQUE = "value", "raised", "absent", "stop", "opaque"


class Program:
    """The program's module, and the objects that the checks hold by a number.

    Args:
        most: bytes of one answer.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._module = ModuleType("program")
        self._objects: list[Any] = []
        self._acts: dict[str, Callable[..., object]] = {
            "call": lambda number, args, kwargs: self._objects[number](*args, **kwargs),
            "getattr": lambda number, name: getattr(self._objects[number], name),
            "setattr": lambda number, name, value: setattr(self._objects[number], name, value),
            "getitem": lambda number, key: self._objects[number][key],
            "len": lambda number: len(self._objects[number]),
            "bool": lambda number: bool(self._objects[number]),
            "iter": lambda number: iter(self._objects[number]),
        }

    def load(self, source: bytes) -> bytes:
        """Run the source as a module."""
        # Dataclasses look their module up.
        sys.modules["program"] = self._module
        try:
            code = compile(source.decode("utf-8", "surrogatepass"), SOURCE, "exec")
            exec(code, self._module.__dict__)
        except BaseException as error:
            return self._raised(error)
        return self._answer(VALUE, None)

    def act(self, request: bytes) -> bytes:
        """Do what the checks ask."""
        try:
            # The name is the checks' own word; they send no object but those they were given.
            what: Any = Reader(request, lambda number, _: self._objects[number]).read()
            return self._do(*what)
        except BaseException as error:
            return self._raised(error)

    def _do(self, act: str, *arguments: Any) -> bytes:
        if act == "name":
            there = arguments[0] in self._module.__dict__
            found = self._module.__dict__.get(arguments[0])
            absent = not there or isinstance(found, ModuleType)
            return self._answer(ABSENT) if absent else self._answer(VALUE, found)
        if act == "next":
            try:
                return self._answer(VALUE, next(self._objects[arguments[0]]))
            except StopIteration:
                return self._answer(STOP)
        return self._answer(VALUE, self._acts[act](*arguments))

    def _answer(self, *parts: object) -> bytes:
        try:
            return Writer(self._keep, self._most).write(parts)
        except NotPlainError as error:
            return Writer(self._keep, self._most).write((OPAQUE, str(error)))

    def _keep(self, value: object) -> int:
        self._objects.append(value)
        return len(self._objects) - 1

    def _raised(self, error: BaseException) -> bytes:
        line, trace = 0, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == SOURCE:
                line = trace.tb_lineno
            trace = trace.tb_next
        if isinstance(error, SyntaxError):
            line = error.lineno or 0
        return self._answer(RAISED, type(error).__name__[:80], _text(error), line)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except BaseException:
        return "(its text cannot be had)"


def main() -> None:
    """Serve until the other side has gone."""
    source, goal, *limits, most = map(int, sys.argv[1:])
    confine(*limits)
    channel = Channel(source, goal)
    channel.send(READY)
    program = Program(most)
    channel.send(program.load(channel.receive()))
    while True:
        channel.send(program.act(channel.receive()))
