"""A program that a model wrote, and the checks that it is held to."""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass

from editsuite.errors import SandboxError
from editsuite.sandbox.inside.examiner import Text


@dataclass(frozen=True)
class Program:
    """Code under test, and checks that it never sees.

    Attributes:
        code: Python source, whoever wrote it.
        checks: statements that use the names which ``code`` defines, each ending in an ``assert``.
        setup: statements that run with the checks, before the first of them: imports and helpers.
            Its names win over those of ``code``.
        names: builtins that ``code`` may define for the checks, as in a task that asks for a
            function called ``sum``. Any other builtin in a check is Python's own, whatever ``code``
            says.
    """

    code: str
    checks: tuple[str, ...]
    setup: str = ""
    names: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what could not be judged.

        Raises:
            SandboxError: no checks, or a check that asserts nothing, or is no Python.
        """
        if not self.checks:
            raise SandboxError("a program without checks cannot be judged: give it at least one")
        _parsed(self.setup, "setup")
        for number, check in enumerate(self.checks, 1):
            statements = _parsed(check, f"check {number}").body
            if not statements or not isinstance(statements[-1], ast.Assert):
                raise SandboxError(f"check {number} does not end in an assert: {check[:80]!r}")

    @property
    def texts(self) -> tuple[Text, ...]:
        """Setup and checks, each with the names that the program may have to give it."""
        return tuple(_free(text, self.names) for text in (self.setup, *self.checks))


def _free(text: str, allowed: frozenset[str]) -> Text:
    nodes = list(ast.walk(ast.parse(text)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    read = {
        n.value.id for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
    }
    free = {name for name in names if name in allowed or not hasattr(builtins, name)}
    return text, tuple(sorted(free)), tuple(sorted(read & free))


def _parsed(text: str, place: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SandboxError(f"{place} is no Python ({error}): {text[:80]!r}") from error
