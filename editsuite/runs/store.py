"""Looks that were taken, kept on disk so that no process takes one twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from filelock import FileLock

from editsuite.code import code_digest, used_modules
from editsuite.files import write_text_atomically

#: Whose code decides what any look sees.
_DECISIVE = ("editsuite.engine", "editsuite.facts/targets.py")
_MEASURES = "editsuite.measures"
#: Modules that decide nothing of a look: the engine's face towards lm-eval, for whose code
#: capabilities answer themselves, and what is concluded from looks.
_ASIDE = ("harness.py", "ask.py", "tokenized.py", "observation.py", "paired.py")


def engine_code() -> str:
    """Digest of the sources that decide what the model computes."""
    return code_digest(_DECISIVE, _ASIDE)


def look_code(module: str) -> str:
    """Digest of the sources that a look depends on.

    A kept look must not outlive a change of the code that took it: the engine's, the measure's,
    and the facts' tokenization, which decides which tokens are asked for.

    Args:
        module: the measure's; of one that is not the suite's own all measures count.
    """
    own = module == _MEASURES or module.startswith(f"{_MEASURES}.")
    measures = used_modules(module, _MEASURES) if own else (_MEASURES,)
    return code_digest((*_DECISIVE, *measures), _ASIDE)


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
        """Name of a look, from everything it depends on, its code included."""
        text = json.dumps([self._space, *parts])
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
