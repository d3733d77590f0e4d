"""Baseline files: one JSON file a chain, in it one group of numbers a test."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from editsuite.errors import BaselineError
from editsuite.files import write_text_atomically
from editsuite.verdicts import Expected, compare

SCHEMA = 1


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
        found[name] = Expected(number(held["value"]), number(held["tolerance"]))
        if not 0 <= found[name].tolerance < math.inf:
            raise _damaged(path, f"the tolerance of {name} is {held['tolerance']!r}")
    return found


def _damaged(path: Path, reason: str) -> BaselineError:
    return BaselineError(
        f"the baseline file {path} is damaged ({reason}); restore it from version control, or "
        "remove it and write it anew with --snapshot-update"
    )


def lock_of(path: Path) -> Path:
    """The lock to hold while a baseline file is written."""
    return path.with_name(f".{path.name}.lock")


def update_file(path: Path, groups: Mapping[str, Any]) -> None:
    """Merge groups into a file under a lock; a group of None is removed.

    A number that lies within its old tolerance keeps its old entry, so that updates do not
    ratchet; one that moved keeps its old tolerance, which is noise and not size. A new number gets
    the least tolerance there is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_of(path)):
        held = read_file(path)
        for name, group in groups.items():
            if group is None:
                held.pop(name, None)
            else:
                held[name] = _merged(group, held.get(name))
        _write(path, held)


def update_plan(path: Path, name: str, plan: str) -> None:
    """Say of a group that is there that this plan gives its numbers, too.

    Numbers within tolerance are not written anew; without this the file would go on naming a
    plan that no run has any more.
    """
    if not path.exists():
        return
    with FileLock(lock_of(path)):
        held = read_file(path)
        if name in held and held[name]["plan"] != plan:
            held[name]["plan"] = plan
            _write(path, held)


def _write(path: Path, held: Mapping[str, Any]) -> None:
    ordered = {name: held[name] for name in sorted(held, key=_place)}
    text = json.dumps({"schema": SCHEMA, "baselines": ordered}, indent=1)
    write_text_atomically(path, text + "\n")


def _merged(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    from editsuite.verdicts.tolerance import least_tolerance  # imports scipy

    before = old["observations"] if old else {}
    merged = {}
    for name, held in new["observations"].items():
        entry = {"value": held["value"], "tolerance": least_tolerance(new["observations"], name)}
        entry |= {"n": held["n"], "unit": held["unit"]}
        if name in before:
            expected = Expected(number(before[name]["value"]), number(before[name]["tolerance"]))
            (same,) = compare({name: number(held["value"])}, {name: expected})
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


def number(value: Any) -> float:
    """Numbers, and the names that strict JSON has for those it cannot write."""
    return float(value)


def jsonable(value: float) -> float | str:
    """A float as strict JSON; ``NaN`` and the infinities by the names the report reads."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
