"""The suite's own sources, as something that results depend on."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable


@cache
def code_digest(packages: tuple[str, ...], aside: tuple[str, ...] = ()) -> str:
    """Hex sha256 over packages' modules as they run: comments and docstrings are no part of it.

    Args:
        packages: names of packages, whose own modules count but not those of packages in them,
            or of modules (``editsuite.facts/targets.py``).
        aside: names of files that do not count.
    """
    digest = hashlib.sha256()
    for file in _files(packages):
        if file.name not in aside:
            digest.update(_code(file.read_text(encoding="utf-8")))
    return digest.hexdigest()


def _files(packages: Iterable[str]) -> Iterable[Traversable]:
    for name in packages:
        package, _, module = name.partition("/")
        files = resources.files(package).iterdir()
        yield from sorted(
            (f for f in files if f.name.endswith(".py") and module in ("", f.name)),
            key=lambda f: f.name,
        )


def _code(source: str) -> bytes:
    """A module as it runs: without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not _is_text(s)]  # type: ignore[attr-defined]
    return ast.dump(tree).encode()


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
