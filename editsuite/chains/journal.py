"""The journal: a chain on disk, one small checked file an edit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from editsuite.chains.plan import Plan
from editsuite.editors.protocol import Change, Dense, LowRank, Recorded, Update
from editsuite.errors import ChainError
from editsuite.files import write_text_atomically
from editsuite.sealed import SUFFIX, list_sealed, seal, unseal

PLAN_FILE = "plan.json"
OUTPUT, INPUT, DELTA = ".output", ".input", ".delta"
#: Before the names of what is no change of a weight.
OWN = "own:"


@dataclass(frozen=True)
class Head:
    """What stays in memory of an edit that is kept.

    Attributes:
        index: its place in the chain, from 1.
        record: what the method said of it.
        before: digest of the state it was computed on.
        after: digest of the state it leads to.
    """

    index: int
    record: Mapping[str, Recorded]
    before: str
    after: str


@dataclass(frozen=True)
class Entry(Head):
    """One edit as it was kept.

    Attributes:
        update: the change, and what the method said of it.
    """

    update: Update


class Journal:
    """The entries of one plan in one folder.

    In memory are heads only: the changes of a thousand edits would be a second model.

    Args:
        root: the cache's folder of chains.
        plan: the plan; its digest names the folder.
    """

    def __init__(self, root: Path, plan: Plan) -> None:
        self.plan = plan
        self.folder = root / "chains" / plan.digest[:32]
        self._heads: dict[Path, Head] = {}
        self._listed: dict[str, list[Path]] = {}

    def open(self) -> None:
        """Make the folder and write the plan for people to read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / PLAN_FILE
        if not path.exists():
            text = json.dumps(self.plan.summary(), indent=1, ensure_ascii=False)
            write_text_atomically(path, text + "\n")

    def append(self, index: int, update: Update, before: str, after: str) -> Entry:
        """Keep an edit; when this returns, it has reached the disk."""
        tensors = {OWN + name: tensor for name, tensor in update.tensors.items()}
        for name, change in update.factors.items():
            if isinstance(change, Dense):
                tensors[name + DELTA] = change.delta
            else:
                tensors[name + OUTPUT] = change.output
                tensors[name + INPUT] = change.input
        metadata = {
            "plan": self.plan.digest,
            "index": str(index),
            "before": before,
            "after": after,
            "record": json.dumps(dict(update.record), ensure_ascii=False),
        }
        path = seal(self.folder, _stem(index), tensors, metadata)
        self._listed.setdefault(_stem(index), []).append(path)
        return Entry(index, update.record, before, after, update)

    def paths(self, index: int) -> list[Path]:
        """The files kept for an edit: one, or none."""
        stem = _stem(index)
        there = [path for path in self._listed.get(stem, ()) if path.exists()]
        if not there:  # another process may have made it; one listing serves all that follow
            self._listed = list_sealed(self.folder)
            there = self._listed.get(stem, [])
        return there

    def head(self, index: int) -> Head | None:
        """What is known of an edit whose file was found sound; None where none is kept.

        Raises:
            ChainError: the file is damaged or belongs to another plan or place.
        """
        for path in self.paths(index):
            if path not in self._heads:
                entry = self._check(path, index)
                self._heads[path] = Head(index, entry.record, entry.before, entry.after)
            return self._heads[path]
        return None

    def entry(self, index: int) -> Entry | None:
        """Read and check an edit; None where none is kept.

        Raises:
            ChainError: the file is damaged or belongs to another plan or place.
        """
        for path in self.paths(index):
            return self._check(path, index)
        return None

    def remove(self, index: int) -> None:
        """Forget an edit that cannot be trusted."""
        for path in self.paths(index):
            path.unlink(missing_ok=True)
            self._heads.pop(path, None)

    def last(self) -> int:
        """The highest index that a file is kept for, sound or not."""
        names = [p.name for p in self.folder.glob(f"*{SUFFIX}")]
        return max((int(n[:6]) for n in names if n[:6].isdigit()), default=0)

    def _check(self, path: Path, index: int) -> Entry:
        held = unseal(path)
        if held.metadata.get("plan") != self.plan.digest or held.metadata.get("index") != str(
            index
        ):
            raise ChainError(
                f"{path} is foreign: it says plan {held.metadata.get('plan', '?')[:12]}, edit "
                f"{held.metadata.get('index')}; here belongs plan {self.plan.digest[:12]}, edit "
                f"{index}. It is made anew"
            )
        update = Update(
            _changes(held.tensors),
            json.loads(held.metadata["record"]),
            {n.removeprefix(OWN): t for n, t in held.tensors.items() if n.startswith(OWN)},
        )
        before, after = held.metadata["before"], held.metadata["after"]
        return Entry(index, update.record, before, after, update)


def _changes(tensors: Mapping[str, Tensor]) -> dict[str, Change]:
    """The changes of weights among an entry's tensors."""
    found: dict[str, Change] = {}
    for name, tensor in tensors.items():
        if name.startswith(OWN):
            continue
        if name.endswith(DELTA):
            found[name.removesuffix(DELTA)] = Dense(tensor)
        elif name.endswith(OUTPUT):
            weight = name.removesuffix(OUTPUT)
            found[weight] = LowRank(tensor, tensors[weight + INPUT])
    return found


def _stem(index: int) -> str:
    return f"{index:06d}"
