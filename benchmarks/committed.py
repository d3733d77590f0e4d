"""The committed baselines of a card, as numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from editsuite.editors import METHOD_HELP


@dataclass(frozen=True)
class Chain:
    """The baselines of one chain.

    Attributes:
        method: its method.
        where: its layers and batch size, as its file is named.
        values: by number of edits and name, the committed values.
    """

    method: str
    where: str
    values: Mapping[int, Mapping[str, float]]

    @classmethod
    def read(cls, file: Path) -> Chain:
        """Read a baseline file."""
        values: dict[int, dict[str, float]] = {}
        for name, group in json.loads(file.read_text(encoding="utf-8"))["baselines"].items():
            edits = int(name.rpartition("-n")[2].rstrip("]"))
            held = {n: float(o["value"]) for n, o in group["observations"].items()}
            values.setdefault(edits, {}).update(held)
        return cls(file.parent.name, file.stem, values)


def chains(folder: Path) -> Iterator[Chain]:
    """The standard chains of a card's baselines, in the methods' order."""
    for name in METHOD_HELP:
        for file in sorted((folder / name).glob("L*.json")):
            if file.stem.count(".") <= file.stem.count(".b"):  # of the built-in facts, seed 0
                yield Chain.read(file)
