"""Values as bytes, by structure: numbers, text, and the containers of the standard library.

Read back, a value is made of the reader's own types. Nothing of the writer's classes comes with
it, no name is looked up but those of ``remade.MADE``, and no code runs: unlike pickle and marshal,
bytes of a hostile writer can only be a value, or wrong. An object of any other type goes as a
number and the name of its type, and the reader decides what that is.
"""

from __future__ import annotations

import struct

from editsuite.sandbox.inside.remade import base_value, made_of, remake

TYPE_CHECKING = False  # as typing has it, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: How deep containers may lie in one another.
DEEPEST = 100
_SIZE = struct.Struct(">I")
_FLOAT = struct.Struct(">d")
_COMPLEX = struct.Struct(">dd")
#: Types that are values themselves, by name: harmless whoever calls them with whatever.
_TYPES = {k.__name__: k for k in (int, float, complex, bool, str, bytes, list, tuple, dict, set)}
_MANY: dict[type, bytes] = {list: b"l", tuple: b"u", set: b"e", frozenset: b"z"}


class NotPlainError(Exception):
    """A value that cannot be written: too deep, too big, or it contains itself."""


class WireError(Exception):
    """Bytes that are no value."""


class Writer:
    """Writes one value.

    Args:
        handle: for an object that is not plain, a number that stands for it. May raise.
        most: bytes, at most.
    """

    def __init__(self, handle: Callable[[object], int], most: int) -> None:
        self._handle = handle
        self._most = most
        self._out = bytearray()

    def write(self, value: object) -> bytes:
        """The value as bytes.

        Raises:
            NotPlainError: it cannot be written.
        """
        self._put(value, 0)
        return bytes(self._out)

    def _put(self, value: object, depth: int) -> None:
        if depth > DEEPEST:
            raise NotPlainError(f"a value deeper than {DEEPEST} containers, or within itself")
        kind = type(value)
        if value is None or value is True or value is False:
            self._out += {None: b"N", True: b"T", False: b"F"}[value]
        elif kind in _MANY:
            self._put_many(_MANY[kind], value, depth)  # type: ignore[arg-type]
        elif kind is dict:
            flat = [part for pair in value.items() for part in pair]  # type: ignore[attr-defined]
            self._put_many(b"d", flat, depth)
        elif not self._put_leaf(kind, value):
            self._put_object(value, depth)
        if len(self._out) > self._most:
            raise NotPlainError(f"a value of more than {self._most} bytes")

    def _put_many(self, tag: bytes, values: Iterable[object], depth: int) -> None:
        parts = list(values)
        self._out += tag + _SIZE.pack(len(parts))
        for part in parts:
            self._put(part, depth + 1)

    def _put_leaf(self, kind: type, value: object) -> bool:
        if kind is int:
            number: int = value  # type: ignore[assignment]
            self._sized(b"i", number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))
        elif kind is str:
            self._sized(b"s", value.encode("utf-8", "surrogatepass"))  # type: ignore[attr-defined]
        elif kind is float:
            self._out += b"f" + _FLOAT.pack(value)
        elif kind is bytes:
            self._sized(b"b", value)  # type: ignore[arg-type]
        elif kind is complex:
            self._out += b"c" + _COMPLEX.pack(value.real, value.imag)  # type: ignore[attr-defined]
        elif any(value is known for known in _TYPES.values()):
            self._sized(b"t", value.__name__.encode())  # type: ignore[attr-defined]
        else:
            return False
        return True

    def _put_object(self, value: object, depth: int) -> None:
        made = made_of(value)
        if made is not None:
            name, arguments = made
            self._out += b"x"
            self._put(name, depth + 1)
            self._put(arguments, depth + 1)
            return
        base = base_value(value)
        if base is not None:
            self._put(base, depth + 1)
            return
        number = self._handle(value)
        self._out += b"h" + _SIZE.pack(number)
        self._put(type(value).__name__[:80], depth + 1)

    def _sized(self, tag: bytes, content: bytes) -> None:
        self._out += tag + _SIZE.pack(len(content)) + content


class Reader:
    """Reads one value.

    Args:
        content: what a writer wrote.
        handle: what stands for an object that is not plain, by its number and type's name.
    """

    def __init__(self, content: bytes, handle: Callable[[int, str], object]) -> None:
        self._content = content
        self._handle = handle
        self._at = 0

    def read(self) -> object:
        """The value.

        Raises:
            WireError: the bytes are no value, or more than one.
        """
        try:
            value = self._get(0)
        except (struct.error, UnicodeDecodeError, TypeError, ValueError) as error:
            raise WireError(f"{type(error).__name__} in a value") from error
        if self._at != len(self._content):
            raise WireError("bytes after a value")
        return value

    def _get(self, depth: int) -> object:
        if depth > DEEPEST:
            raise WireError("a value too deep")
        tag = self._take(1)
        if tag in b"luezd":
            return self._many(tag, depth)
        if tag in b"isbt":
            return self._sized(tag, self._take(self._size()))
        if tag == b"f":
            return _FLOAT.unpack(self._take(8))[0]
        if tag == b"c":
            return complex(*_COMPLEX.unpack(self._take(16)))
        if tag in b"NTF":
            return {b"N": None, b"T": True, b"F": False}[tag]
        if tag == b"h":
            number = self._size()
            return self._handle(number, str(self._get(depth + 1)))
        if tag == b"x":
            return remake(self._get(depth + 1), self._get(depth + 1))
        raise WireError(f"unknown mark {tag!r}")

    def _sized(self, tag: bytes, content: bytes) -> object:
        if tag == b"b":
            return content
        if tag == b"i":
            return int.from_bytes(content, "big", signed=True)
        text = content.decode("utf-8", "surrogatepass")
        if tag == b"s":
            return text
        if text not in _TYPES:
            raise WireError(f"unknown type {text!r}")
        return _TYPES[text]

    def _many(self, tag: bytes, depth: int) -> object:
        number = self._size()
        if number > len(self._content) - self._at:
            raise WireError("fewer parts than announced")
        parts = [self._get(depth + 1) for _ in range(number)]
        if tag == b"l":
            return parts
        if tag == b"d":
            if number % 2:
                raise WireError("a key without a value")
            return dict(zip(parts[::2], parts[1::2], strict=True))
        return {b"u": tuple, b"e": set, b"z": frozenset}[tag](parts)

    def _size(self) -> int:
        return int(_SIZE.unpack(self._take(4))[0])

    def _take(self, number: int) -> bytes:
        taken = self._content[self._at : self._at + number]
        if len(taken) != number:
            raise WireError("a value cut short")
        self._at += number
        return taken
