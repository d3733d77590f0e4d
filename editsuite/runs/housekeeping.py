"""What lies in the cache: listed, verified, pruned."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from editsuite.chains.journal import PLAN_FILE
from editsuite.errors import ChainError
from editsuite.sealed import SUFFIX, unseal


@dataclass(frozen=True)
class Kept:
    """One chain, or one folder of other things, in the cache.

    Attributes:
        kind: ``chain``, ``models``, ``looks``, ``covariance``, ``contexts``, ...
        path: its folder.
        title: what it is, for people.
        files: number of files.
        bytes: their size.
        used: when it was last written to (seconds since the epoch).
    """

    kind: str
    path: Path
    title: str
    files: int
    bytes: int
    used: float


def kept(cache: Path) -> list[Kept]:
    """Everything in the cache: each chain by itself, the rest by folder."""
    found = []
    for folder in sorted(p for p in cache.glob("*") if p.is_dir()):
        if folder.name == "chains":
            found += [_measured("chain", c, _title(c)) for c in sorted(folder.iterdir())]
        elif folder.name == "calibration":
            chains = sorted(folder.glob("*/chains/*"))
            found += [_measured("chain", c, f"{c.parents[1].name}: {_title(c)}") for c in chains]
        else:
            found.append(_measured(folder.name, folder, folder.name))
    return found


def _measured(kind: str, folder: Path, title: str) -> Kept:
    sizes = [p.stat() for p in folder.rglob("*") if p.is_file()]
    used = max((s.st_mtime for s in sizes), default=folder.stat().st_mtime)
    return Kept(kind, folder, title, len(sizes), sum(s.st_size for s in sizes), used)


def _title(chain: Path) -> str:
    try:
        plan = json.loads((chain / PLAN_FILE).read_text(encoding="utf-8"))
        layers = ",".join(map(str, plan["layers"]))
        edits = len(list(chain.glob(f"*{SUFFIX}")))
        facts, seed = plan["facts"], plan["seed"]
        return f"{plan['editor']} L{layers} on {plan['card']}, {facts} seed {seed}, {edits} edits"
    except (OSError, ValueError, KeyError):
        return "a chain whose plan cannot be read"


def damaged(cache: Path) -> Iterator[tuple[Path, str]]:
    """Sealed files (edits, covariances) whose bytes are not what their names promise."""
    for path in sorted(cache.rglob(f"*{SUFFIX}")):
        if "models" in path.relative_to(cache).parts:
            continue  # models have a manifest of their own; `doctor --verify` reads it
        try:
            unseal(path)
        except ChainError as error:
            yield path, str(error)
        except (OSError, ValueError, KeyError) as error:
            yield path, f"{path} cannot be read: {error}"


def prune(cache: Path, older_than_days: float) -> list[Kept]:
    """Remove chains and looks that were not written to for so long; models stay.

    A chain that some process is editing is left alone.
    """
    limit = time.time() - older_than_days * 86400
    removed = []
    for one in kept(cache):
        if one.kind == "models" or one.used > limit:
            continue
        try:
            with FileLock(one.path / "edit.lock").acquire(timeout=0):
                shutil.rmtree(one.path)
        except Timeout:
            continue
        removed.append(one)
    return removed
