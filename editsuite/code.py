"""The suite's own sources, as something that results depend on."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path


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


@cache
def used_modules(module: str, package: str) -> tuple[str, ...]:
    """A module and what it imports from a package, as `code_digest` names modules.

    What is imported by way of another counts, so do imports within functions and for typing alone.

    Args:
        module: full name of a module.
        package: full name of a package; what is imported from elsewhere is not followed.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [one for one in _imported(name) if f"{one}.".startswith(f"{package}.")]
    return tuple(sorted(map(_as_file, found)))


def _imported(module: str) -> set[str]:
    """Full names of the modules that a module imports; relative imports are not used here."""
    names = set()
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            several = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {one for one in several if _is_module(one)}
            # `from package import module` takes nothing from the package itself.
            names |= modules if modules == several else modules | {node.module}
    return names


def _is_module(name: str) -> bool:
    package, _, last = name.rpartition(".")
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return any(
        Path(place, f"{last}.py").is_file() or Path(place, last, "__init__.py").is_file()
        for place in places or ()
    )


def _source(module: str) -> str:
    spec = find_spec(module)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise ModuleNotFoundError(f"{module} is no module with a source", name=module)
    return Path(spec.origin).read_text(encoding="utf-8")


def _as_file(module: str) -> str:
    spec = find_spec(module)
    if spec is not None and spec.submodule_search_locations:
        return f"{module}/__init__.py"
    package, _, name = module.rpartition(".")
    return f"{package}/{name}.py"


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
