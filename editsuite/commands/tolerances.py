"""Tolerances into baseline files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editsuite.errors import BaselineError
from editsuite.verdicts.tolerance import one_item, tolerance

if TYPE_CHECKING:
    from editsuite.runs.calibration import Values, Variation


def write_tolerances(file: Path, found: Mapping[Variation, Values]) -> int:
    """Put tolerances into a baseline file; its values stay. Gives the number of tolerances.

    Numbers that were not calibrated (other counts, other checks) keep what they have; so do kinds
    of noise that were not tried now, and the tolerance is then not made narrower. Where the base
    was not measured, it is the committed value.

    Raises:
        BaselineError: the file is damaged, or a number is none in some variation.
    """
    from filelock import FileLock

    from editsuite.files import write_text_atomically
    from editsuite.plugin.baseline_file import SCHEMA, lock_of, read_file

    written = 0
    with FileLock(lock_of(file)):
        groups = read_file(file)
        for name, group in groups.items():
            edits = name.rpartition("-n")[2].removesuffix("]")
            for observation, entry in group["observations"].items():
                values = {
                    variation: by_count[int(edits)][observation]
                    for variation, by_count in found.items()
                    if edits.isdecimal() and observation in by_count.get(int(edits), {})
                }
                if any(v.kind != "base" for v in values):
                    _write_one(entry, values, f"{observation} of {name} in {file}")
                    entry["tolerance"] = max(
                        entry["tolerance"], one_item(group["observations"], observation)
                    )
                    written += 1
        held = {"schema": SCHEMA, "baselines": groups}
        write_text_atomically(file, json.dumps(held, indent=1) + "\n")
    return written


def _write_one(entry: dict[str, Any], values: Mapping[Variation, Any], name: str) -> None:
    spoilt = [str(v) for v, value in values.items() if not math.isfinite(value)]
    if spoilt:
        raise BaselineError(
            f"{name} is no finite number under {spoilt[0]}, so its noise has no size; calibrate "
            "fewer edits (--counts) or another layer"
        )
    measured = (value for v, value in values.items() if v.kind == "base")
    base = next(measured, float(entry["value"]))
    by_kind: dict[str, list[float]] = {}
    for variation, value in values.items():
        if variation.kind != "base":
            by_kind.setdefault(variation.kind, []).append(value)
    room, noise = tolerance(by_kind, base, int(entry["n"]), str(entry["unit"]))
    # What was measured another time still counts: how wide it asked for is not in the file.
    earlier = {k: v for k, v in entry.get("noise", {}).items() if k not in noise}
    if earlier:
        room = max(room, float(entry["tolerance"]))
    noise = {kind: float(f"{size:.3g}") for kind, size in noise.items()} | earlier
    entry["tolerance"] = float(f"{room:.3g}")
    entry["noise"] = {kind: noise[kind] for kind in sorted(noise)}
