"""Looks that were taken, kept on disk so that no process takes one twice."""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from filelock import FileLock

from editsuite.files import write_text_atomically

#: Packages whose code decides what a look sees.
_DECISIVE = ("editsuite.engine", "editsuite.measures")
#: Modules in them that no measure uses: the engine's face towards lm-eval.
_ASIDE = ("harness.py", "ask.py")


@cache
def code_digest() -> str:
    """Hex sha256 over the sources that a look depends on.

    A kept look must not outlive a change of the code that took it; comments and docstrings are
    no such change. The facts' tokenization counts too, it decides which tokens are asked for.
    """
    digest = hashlib.sha256()
    for package in _DECISIVE:
        for file in sorted(resources.files(package).iterdir(), key=lambda f: f.name):
            if file.name.endswith(".py") and file.name not in _ASIDE:
                digest.update(_code(file.read_text(encoding="utf-8")))
    targets = resources.files("editsuite.facts") / "targets.py"
    digest.update(_code(targets.read_text(encoding="utf-8")))
    return digest.hexdigest()


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


def looks_folder(root: Path, space: str) -> Path:
    """Where looks are kept; a space of its own is a folder of its own, so that it can go."""
    if not space:
        return root / "looks"
    return root / "looks" / f"space-{hashlib.sha256(space.encode()).hexdigest()[:12]}"


class LookStore:
    """JSON values by key, each in a file that carries its checksum.

    Args:
        root: the suite's cache folder.
        space: looks of another space are not seen; a run that wants to measure everything
            itself takes a space of its own.
    """

    def __init__(self, root: Path, space: str = "") -> None:
        self._folder = looks_folder(root, space)
        self._space = space
        self._held: dict[str, Any] = {}

    def key(self, *parts: str) -> str:
        """Name of a look, from everything it depends on."""
        text = json.dumps([self._space, code_digest(), *parts])
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    def get(self, key: str) -> Any:
        """What was seen, or None where it was not looked yet (or the file is damaged)."""
        if key not in self._held:
            try:
                held = json.loads(self._path(key).read_text(encoding="utf-8"))
                if held["checksum"] != _checksum(held["seen"]):
                    return None
            except (OSError, ValueError, KeyError, TypeError):
                return None
            self._held[key] = held["seen"]
        return self._held[key]

    def put(self, key: str, seen: Any) -> Any:
        """Keep what was seen; gives it back as it will be read."""
        text = json.dumps({"checksum": _checksum(seen), "seen": seen}, ensure_ascii=False)
        write_text_atomically(self._path(key), text)
        self._held[key] = json.loads(text)["seen"]
        return self._held[key]

    def lock(self, key: str) -> FileLock:
        """The lock to hold while taking a look."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path.with_suffix(".lock"))

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


def _checksum(seen: Any) -> str:
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
