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

from filelock import FileLock
from syrupy.data import Snapshot, SnapshotCollection, SnapshotCollections
from syrupy.extensions.base import AbstractSyrupyExtension
from syrupy.location import PyTestLocation

from editsuite.errors import BaselineError
from editsuite.files import write_text_atomically
from editsuite.verdicts import Comparison, Expected, compare

SCHEMA = 1
#: Between file and group in a snapshot's index.
SEPARATOR = "::"


def snapshot_index(file: Path) -> str:
    """The syrupy index of a group in a file; the group is named after the test."""
    return f"{file}{SEPARATOR}"


def read_file(path: Path) -> dict[str, Any]:
    """A baseline file's groups by test name; empty where there is no file.

    Raises:
        BaselineError: the file is damaged; the message says where.
    """
    if not path.exists():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["schema"] != SCHEMA:
            raise ValueError(f"its schema is {held['schema']!r}, known is {SCHEMA}")
        groups: dict[str, Any] = held["baselines"]
        for name, group in groups.items():
            if not isinstance(group["plan"], str):
                raise ValueError(f"the plan of {name} is no text")
            expected_of(group, path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    return groups


def expected_of(group: Mapping[str, Any], path: Path) -> dict[str, Expected]:
    """The numbers of a group; a NaN is one, it equals nothing.

    Raises:
        BaselineError: a tolerance is none.
    """
    found = {}
    for name, held in group["observations"].items():
        found[name] = Expected(_number(held["value"]), _number(held["tolerance"]))
        if not 0 <= found[name].tolerance < math.inf:
            raise _damaged(path, f"the tolerance of {name} is {held['tolerance']!r}")
    return found


def _damaged(path: Path, reason: str) -> BaselineError:
    return BaselineError(
        f"the baseline file {path} is damaged ({reason}); restore it from version control, or "
        "remove it and write it anew with --snapshot-update"
    )


def comparisons(serialized: str, snapshot: str) -> tuple[Comparison, ...]:
    """Hold one test's observations, as syrupy passes them, against their group."""
    observed = {
        name: _number(held["value"])
        for name, held in json.loads(serialized)["observations"].items()
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


def lock_of(path: Path) -> Path:
    """The lock to hold while a baseline file is written."""
    return path.with_name(f".{path.name}.lock")


def update_file(path: Path, groups: Mapping[str, Any]) -> None:
    """Merge groups into a file under a lock; a group of None is removed.

    A number that lies within its old tolerance keeps its old entry, so that updates do not
    ratchet; one that moved keeps its old tolerance, which is noise and not size.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_of(path)):
        held = read_file(path)
        for name, group in groups.items():
            if group is None:
                held.pop(name, None)
            else:
                held[name] = _merged(group, held.get(name))
        text = json.dumps(
            {
                "schema": SCHEMA,
                "baselines": {name: held[name] for name in sorted(held, key=_place)},
            },
            indent=1,
        )
        write_text_atomically(path, text + "\n")


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
        return all(math.isfinite(_number(held["value"])) for held in observations.values())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<finite numbers; no baseline {self.file.name}>"


def _merged(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    before = old["observations"] if old else {}
    merged = {}
    for name, held in new["observations"].items():
        entry = {"value": held["value"], "tolerance": 0.0, "n": held["n"], "unit": held["unit"]}
        if name in before:
            expected = Expected(_number(before[name]["value"]), _number(before[name]["tolerance"]))
            (same,) = compare({name: _number(held["value"])}, {name: expected})
            entry["tolerance"] = before[name]["tolerance"]
            if "noise" in before[name]:
                entry["noise"] = before[name]["noise"]
            if same.outcome == "pass":
                entry["value"] = before[name]["value"]
        merged[name] = entry
    return {"plan": new["plan"], "observations": merged}


def _place(name: str) -> tuple[int, str]:
    """Groups in the order of their counts: ``test_x[rome-L5-n10]``."""
    digits = name.rpartition("-n")[2].rstrip("]")
    return (int(digits) if digits.isdigit() else 0, name)


def _number(value: Any) -> float:
    """Numbers, and the names that strict JSON has for those it cannot write."""
    return float(value)


def jsonable(value: float) -> float | str:
    """A float as strict JSON; ``NaN`` and the infinities by the names the report reads."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
