"""Baselines as syrupy snapshots: numbers with a tolerance stored beside them.

One JSON file holds a chain (card, editor, layer); in it, one group for each test. syrupy decides
when to read, compare, write and report; what a file looks like and what "equal" means is here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syrupy.data import Snapshot, SnapshotCollection, SnapshotCollections
from syrupy.extensions.base import AbstractSyrupyExtension
from syrupy.location import PyTestLocation

from editsuite.plugin.baseline_file import (
    expected_of,
    number,
    read_file,
    update_file,
)
from editsuite.verdicts import Comparison, compare

#: Between file and group in a snapshot's index.
SEPARATOR = "::"


def snapshot_index(file: Path) -> str:
    """The syrupy index of a group in a file; the group is named after the test."""
    return f"{file}{SEPARATOR}"


def comparisons(serialized: str, snapshot: str) -> tuple[Comparison, ...]:
    """Hold one test's observations, as syrupy passes them, against their group."""
    observed = {
        name: number(held["value"]) for name, held in json.loads(serialized)["observations"].items()
    }
    expected = expected_of(json.loads(snapshot), Path()) if snapshot else {}
    return compare(observed, expected)


class BaselineExtension(AbstractSyrupyExtension):
    """Compares within tolerances, and says which numbers moved."""

    file_extension = "json"

    def serialize(self, data: Any, **_: Any) -> str:
        """``data`` is ``{"plan": ..., "observations": {name: {...}}}``."""
        return json.dumps(data, sort_keys=True)

    def matches(self, *, serialized_data: Any, snapshot_data: Any) -> bool:
        """Whether every number lies within its tolerance, with none missing or left over."""
        return all(c.outcome == "pass" for c in comparisons(serialized_data, snapshot_data))

    def diff_lines(self, serialized_data: Any, snapshot_data: Any) -> Iterator[str]:
        """The numbers that moved, and only those."""
        moved = [c for c in comparisons(serialized_data, snapshot_data) if c.outcome != "pass"]
        yield f"{'number':44} {'old':>12} {'new':>12} {'difference':>12} {'tolerance':>12}"
        for c in moved:
            old = _shown(c.expected.value if c.expected else None)
            tolerance = _shown(c.expected.tolerance if c.expected else None)
            new = _shown(c.value)
            both = c.value is not None and c.expected is not None
            difference = _shown(c.difference if both else None)
            note = {"missing": "  no baseline", "left over": "  no longer observed"}
            line = f"{c.name:44} {old:>12} {new:>12} {difference:>12} {tolerance:>12}"
            yield line + note.get(c.outcome, "")
        if (
            snapshot_data
            and json.loads(snapshot_data)["plan"] != json.loads(serialized_data)["plan"]
        ):
            yield "another plan than the baseline's: facts, hyperparameters or model changed"
        yield "if this is meant: run again with --snapshot-update and commit the file"

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, index: Any) -> str:
        """The file that the index names."""
        return str(index).partition(SEPARATOR)[0]

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: Any = 0) -> str:
        """The test's name."""
        return str(test_location.snapshot_name)

    @classmethod
    def matches_test_location(
        cls, *, test_location: PyTestLocation, snapshot_location: str
    ) -> bool:
        """Baselines lie in a folder of their own, not beside the tests."""
        return True

    def discover_snapshots(self, **_: Any) -> SnapshotCollections:
        """Nothing: what is left over is found by ``leftovers``, which knows what was asked for.

        syrupy would have to take every count and layer that a run leaves out for unused.
        """
        return SnapshotCollections()

    def read_snapshot_collection(self, *, snapshot_location: str) -> SnapshotCollection:
        """All groups of a file."""
        collection = SnapshotCollection(location=snapshot_location)
        for name, group in read_file(Path(snapshot_location)).items():
            collection.add(Snapshot(name=name, data=json.dumps(group)))
        return collection

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> str | None:
        """One group, as JSON; None where there is none."""
        group = read_file(Path(snapshot_location)).get(snapshot_name)
        return None if group is None else json.dumps(group)

    @classmethod
    def write_snapshot_collection(
        cls, *, snapshot_collection: SnapshotCollection, name_order: Any = None
    ) -> None:
        """Put groups into their file; numbers within tolerance stay as they are."""
        path = Path(snapshot_collection.location)
        new = {snapshot.name: json.loads(str(snapshot.data)) for snapshot in snapshot_collection}
        update_file(path, new)

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        """Take groups out of their file."""
        update_file(Path(snapshot_location), dict.fromkeys(snapshot_names))


@dataclass(frozen=True)
class Observing:
    """Stands in for a baseline where there is none to hold numbers against.

    Attributes:
        file: where the baseline would lie.
    """

    file: Path

    def __eq__(self, data: object) -> bool:
        """A number that is none is a failure with or without a baseline."""
        observations = data["observations"] if isinstance(data, Mapping) else {}
        return all(math.isfinite(number(held["value"])) for held in observations.values())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<finite numbers; no baseline {self.file.name}>"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
