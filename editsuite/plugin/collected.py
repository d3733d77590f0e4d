"""What the checks observed, gathered from all workers and written at the end."""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from editsuite.plugin.baseline_file import jsonable
from editsuite.plugin.cases import EditCase
from editsuite.plugin.judged import evidence_of, judged
from editsuite.verdicts import Expected, compare

if TYPE_CHECKING:
    from editsuite.measures import Observation

#: Key under which a test's report carries its observations from worker to controller.
PROPERTY = "editsuite"
#: The order of the report: what was taught, what was spared, what it cost.
FAMILIES = (
    *("reliability", "generalization", "locality"),
    *("capability", "table-1", "parameters", "perplexity", "answers"),
)
PACKAGES = ("editsuite", "torch", "transformers", "tokenizers", "numpy", "pytest", "syrupy")


def rows(
    case: EditCase,
    observations: Sequence[Observation],
    expected: Mapping[str, Expected] | None,
    test: str,
) -> list[dict[str, Any]]:
    """Observations beside their baselines, as rows of the report.

    Args:
        case: the observed state.
        observations: what was observed.
        expected: the baselines; None where there are none and none are wanted.
        test: the test's node id.
    """
    found = []
    for o in observations:
        held = (expected or {}).get(o.name)
        found.append(
            {
                "method": case.case.name,
                "layer": list(case.case.layers),
                "edits": case.edits,
                "name": o.name,
                "value": None if o.absent else jsonable(o.value),
                "n": o.n,
                "unit": o.unit,
                "low": None if o.absent else jsonable(o.low),
                "high": None if o.absent else jsonable(o.high),
                "interval": o.interval,
                "baseline": jsonable(held.value) if held else None,
                "tolerance": jsonable(held.tolerance) if held else None,
                "verdict": _verdict(o, expected),
                "test": test,
            }
            | ({"judged": found_out} if (found_out := evidence_of(o)) else {})
        )
    return found


def _verdict(observation: Observation, expected: Mapping[str, Expected] | None) -> str:
    """How an observation stands; one that is absent should have no baseline either."""
    if expected is None:
        return "observed"
    held = expected.get(observation.name)
    if observation.absent:
        return "fail" if held else "pass" if expected else "no baseline"
    if held is None:
        return "no baseline"
    (found,) = compare({observation.name: observation.value}, {observation.name: held})
    return found.outcome


@dataclass
class Collected:
    """Gathers rows, edits and failures of one session, on the controller."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    chains: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, dict[str, int]] = field(default_factory=dict)
    started: float = field(default_factory=time.time)

    def take(self, properties: Iterable[tuple[str, Any]]) -> None:
        """Take what a test's report carries."""
        for name, carried in properties:
            if name == PROPERTY:
                told = json.loads(carried)
                self.rows += told["rows"]
                self.run.update(told["run"])
                self.memory.update(told["memory"])
                chain = told["chain"]
                kept = self.chains.get(chain["case"])
                if kept is None or len(kept["edits"]) < len(chain["edits"]):
                    self.chains[chain["case"]] = chain

    def fail(self, test: str, message: str) -> None:
        """Note a failed check."""
        self.failures.append({"test": test, "message": message})

    def report(self, exit_status: int, workers: int) -> dict[str, Any]:
        """Everything, as the report room takes it."""
        return {
            "schema": 1,
            "run": {
                "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
                "seconds": round(time.time() - self.started, 1),
                "command": shlex.join(["pytest", *sys.argv[1:]]),
                "workers": workers,
                "exit_status": exit_status,
                "versions": {"python": platform.python_version(), **_versions()},
                "memory": {worker: self.memory[worker] for worker in sorted(self.memory)},
                **self.run,
            },
            "rows": judged(sorted(self.rows, key=_place)),
            "chains": [self.chains[name] for name in sorted(self.chains)],
            "failures": self.failures,
        }


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Rows in one order, whichever worker was first."""
    family = row["name"].partition(".")[0]
    rank = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
    return (row["method"], row["layer"], row["edits"], rank, row["name"])


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
