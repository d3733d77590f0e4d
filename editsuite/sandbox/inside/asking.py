"""What the checks hold instead of the program's own objects."""

from __future__ import annotations

import builtins

from editsuite.sandbox.inside.candidate import ABSENT, OPAQUE, RAISED, STOP, VALUE
from editsuite.sandbox.inside.plain import NotPlainError, Reader, WireError, Writer

TYPE_CHECKING = False  # as typing has it, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, NoReturn


_ENDS = (StopIteration, StopAsyncIteration)


class OpaqueError(BaseException):
    """A check wants to compare, hash or print an object of the program's own making.

    No ``Exception``: a check that catches everything must not catch this.
    """


class ForgedError(BaseException):
    """An answer that is no answer."""


class ProgramError(Exception):
    """The program raised what is no builtin exception."""


class Asker:
    """Asks the program's process.

    Args:
        exchange: sends a question and gives the answer.
        most: bytes of one question.

    Attributes:
        asked: answers with a value or an exception so far.
        last: the latest value.
        raised: the latest exception of the program, as it was raised here, with its line.
        opaque: why a value could not be believed, once one could not.
    """

    def __init__(self, exchange: Callable[[bytes], bytes], most: int) -> None:
        self._exchange = exchange
        self._most = most
        self.asked = 0
        self.last: object = None
        self.raised: tuple[BaseException, str] | None = None
        self.opaque = ""

    def name(self, name: str) -> tuple[object, ...]:
        """What the program calls so, in a tuple of one; empty where it has no such name."""
        answer = self._answer(("name", name))
        if answer[0] == ABSENT:
            return ()
        if type(answer[1]) is not Handle:
            self._seen(answer[1])
        return (answer[1],)

    def ask(self, *question: object) -> Any:
        """The value that the program gives.

        Raises:
            Exception: what the program raised: a builtin exception by its name, or ProgramError.
            OpaqueError: the answer cannot be written as a plain value.
            ForgedError: what came is no answer.
        """
        answer = self._answer(question)
        if answer[0] == STOP:
            raise StopIteration
        self._seen(answer[1])
        return answer[1]

    def _seen(self, value: object) -> None:
        self.asked += 1
        self.last = value

    def not_plain(self, why: str) -> NoReturn:
        """Say that a value cannot be believed, for good: catching this does not help a check."""
        self.opaque = why
        raise OpaqueError(why)

    def _answer(self, question: tuple[object, ...]) -> tuple[Any, ...]:
        try:
            content = Writer(self._number, self._most).write(question)
        except NotPlainError as error:
            raise TypeError(f"cannot hand the program {error}") from error
        return self.hear(self._exchange(content), question[0])

    def hear(self, content: bytes, act: object = "load") -> tuple[Any, ...]:
        """Understand an answer, and raise what it says was raised; see ``ask``."""
        try:
            answer = Reader(content, self._handle).read()
        except WireError as error:
            raise ForgedError(str(error)) from error
        if type(answer) is not tuple or not answer:
            raise ForgedError("an answer of no known form")
        form = (answer[0], *map(type, answer[1:]))
        if len(answer) == 2 and answer[0] == VALUE:
            return answer
        if (form == (ABSENT,) and act == "name") or (form == (STOP,) and act == "next"):
            return answer
        if form == (OPAQUE, str):
            self.not_plain(answer[1])
        if form == (RAISED, str, str, int):
            self._raise(*answer[1:])
        raise ForgedError("an answer of no known form")

    def _raise(self, kind: str, text: str, line: int) -> NoReturn:
        error: Exception
        known: Any = getattr(builtins, kind, None)
        try:
            # StopIteration would end a ``map`` within a check as if all had been seen.
            if not issubclass(known, Exception) or issubclass(known, _ENDS):
                raise TypeError
            error = known(text)
        except TypeError:  # no exception; or UnicodeDecodeError, which wants five arguments
            error = ProgramError(f"{kind}: {text}")
        self.asked += 1
        self.raised = (error, f"{kind}: {text}" + (f" (line {line})" if line else ""))
        raise error

    def _handle(self, number: int, kind: str) -> Handle:
        return Handle(self, number, kind)

    def _number(self, value: object) -> int:
        if type(value) is Handle:
            return object.__getattribute__(value, "_number")  # type: ignore[no-any-return]
        raise NotPlainError(f"a {type(value).__name__}, which is no plain value")


class Handle:
    """An object in the program's process: it may be called, read, walked and handed back.

    All of these give what the program computes, and it might as well have returned that. What
    the checks alone must decide is refused: to be equal, less, contained, hashed, or printed.
    """

    __slots__ = ("_asker", "_kind", "_number")

    def __init__(self, asker: Asker, number: int, kind: str) -> None:
        for name, value in (("_asker", asker), ("_number", number), ("_kind", kind)):
            object.__setattr__(self, name, value)

    def __call__(self, *args: object, **kwargs: object) -> object:
        return _ask(self, "call", args, kwargs)

    def __getattr__(self, name: str) -> object:
        return _ask(self, "getattr", name)

    def __setattr__(self, name: str, value: object) -> None:
        _ask(self, "setattr", name, value)

    def __getitem__(self, key: object) -> object:
        return _ask(self, "getitem", key)

    def __len__(self) -> int:
        number = _ask(self, "len")
        return number if type(number) is int else _refuse(self)

    def __bool__(self) -> bool:
        truth = _ask(self, "bool")
        return truth if type(truth) is bool else _refuse(self)

    def __iter__(self) -> Iterator[object]:
        walk = _ask(self, "iter")
        while True:
            try:
                value = _ask(walk, "next")
            except StopIteration:
                return
            yield value

    def __hash__(self) -> int:
        _refuse(self)

    def __repr__(self) -> str:
        _refuse(self)

    def __format__(self, specification: str) -> str:
        _refuse(self)

    def __eq__(self, other: object) -> bool:
        _refuse(self)

    def __ne__(self, other: object) -> bool:
        _refuse(self)

    def __lt__(self, other: object) -> bool:
        _refuse(self)

    __le__ = __gt__ = __ge__ = __lt__


def _ask(handle: object, act: str, *arguments: object) -> Any:
    if type(handle) is not Handle:
        raise ForgedError(f"{act} of what is no object")
    asker: Asker = object.__getattribute__(handle, "_asker")
    return asker.ask(act, object.__getattribute__(handle, "_number"), *arguments)


def _refuse(handle: Handle) -> NoReturn:
    asker: Asker = object.__getattribute__(handle, "_asker")
    kind = object.__getattribute__(handle, "_kind")
    asker.not_plain(f"a check compares or prints an object of the program's type {kind}")
