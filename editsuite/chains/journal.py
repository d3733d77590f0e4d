"""The journal: a chain on disk, one small checked file an edit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from editsuite.chains.plan import Plan
from editsuite.editors.protocol import LowRank, Recorded, Update
from editsuite.errors import ChainError
from editsuite.files import write_text_atomically
from editsuite.sealed import SUFFIX, find_sealed, seal, unseal

PLAN_FILE = "plan.json"
OUTPUT, INPUT = ".output", ".input"


@dataclass(frozen=True)
class Entry:
    """One edit as it was kept.

    Attributes:
        index: its place in the chain, from 1.
        factors: the change of each weight.
        record: what the method said of it.
        before: digest of the state it was computed on.
        after: digest of the state it leads to.
    """

    index: int
    factors: Mapping[str, LowRank]
    record: Mapping[str, Recorded]
    before: str
    after: str


class Journal:
    """The entries of one plan in one folder.

    Args:
        root: the cache's folder of chains.
        plan: the plan; its digest names the folder.
    """

    def __init__(self, root: Path, plan: Plan) -> None:
        self.plan = plan
        self.folder = root / "chains" / plan.digest[:32]
        self._read: dict[Path, Entry] = {}

    def open(self) -> None:
        """Make the folder and write the plan for people to read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / PLAN_FILE
        if not path.exists():
            text = json.dumps(self.plan.summary(), indent=1, ensure_ascii=False)
            write_text_atomically(path, text + "\n")

    def append(self, index: int, update: Update, before: str, after: str) -> Entry:
        """Keep an edit; when this returns, it has reached the disk."""
        tensors = {}
        for name, low_rank in update.factors.items():
            tensors[name + OUTPUT] = low_rank.output
            tensors[name + INPUT] = low_rank.input
        metadata = {
            "plan": self.plan.digest,
            "index": str(index),
            "before": before,
            "after": after,
            "record": json.dumps(dict(update.record), ensure_ascii=False),
        }
        seal(self.folder, _stem(index), tensors, metadata)
        return Entry(index, update.factors, update.record, before, after)

    def paths(self, index: int) -> list[Path]:
        """The files kept for an edit: one, or none."""
        return find_sealed(self.folder, _stem(index))

    def entry(self, index: int) -> Entry | None:
        """Read and check an edit; None where none is kept.

        Raises:
            ChainError: the file is damaged or belongs to another plan or place.
        """
        for path in self.paths(index):
            if path not in self._read:
                self._read[path] = self._check(path, index)
            return self._read[path]
        return None

    def remove(self, index: int) -> None:
        """Forget an edit that cannot be trusted."""
        for path in self.paths(index):
            path.unlink(missing_ok=True)
            self._read.pop(path, None)

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
        names = {name.removesuffix(OUTPUT) for name in held.tensors if name.endswith(OUTPUT)}
        factors = {
            name: LowRank(held.tensors[name + OUTPUT], held.tensors[name + INPUT]) for name in names
        }
        record = json.loads(held.metadata["record"])
        return Entry(index, factors, record, held.metadata["before"], held.metadata["after"])


def _stem(index: int) -> str:
    return f"{index:06d}"
