"""The probes: items of this project, in the benchmarks' formats, for a small model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editsuite.errors import MeasureError, listing
from editsuite.measures.capabilities.programs import ProcessResults
from editsuite.measures.capabilities.task import read_task_file, task_over

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

FOLDER = Path(__file__).parent / "probes"


@dataclass(frozen=True)
class Probe:
    """One capability's items, and how they are asked.

    Attributes:
        name: of the capability.
        settings: of the probe's task file.
        items: documents of the task, each with an ``id`` that stays its own.
    """

    name: str
    settings: Mapping[str, Any]
    items: tuple[Mapping[str, Any], ...]

    @property
    def metric(self) -> str:
        """The one metric; 1 where an item is answered rightly."""
        (only,) = self.settings["metric_list"]
        return str(only["metric"])

    def task(self) -> ConfigurableTask:
        """The items as a task of lm-eval."""
        return task_over(self.settings, {self.settings["test_split"]: self.items})


def known_probes() -> tuple[str, ...]:
    """Names of the capabilities that have a probe."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def probe_settings(name: str) -> dict[str, Any]:
    """How a probe is asked.

    Raises:
        MeasureError: there is no such probe.
    """
    if name not in known_probes():
        raise MeasureError(f"no probe is called {name!r}; there are {listing(known_probes())}")
    return read_task_file(FOLDER / f"{name}.yaml")


def read_items(path: Path) -> tuple[dict[str, Any], ...]:
    """Items of a file, one JSON object a line.

    Raises:
        MeasureError: the file is absent or spoilt.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(json.loads(line) for line in lines)
    except (OSError, ValueError) as error:
        raise MeasureError(
            f"{path}: cannot be read as items of a probe ({error}); install editsuite again"
        ) from error


def read_probe(name: str, scored_by: ProcessResults | None = None) -> Probe:
    """A probe with the items that the unedited default model answers rightly.

    Args:
        name: of the capability.
        scored_by: scores an item's replies in place of what the task file names; code needs it.

    Raises:
        MeasureError: there is no such probe, or its items are absent or spoilt.
    """
    scored = {} if scored_by is None else {"process_results": scored_by}
    return Probe(name, probe_settings(name) | scored, read_items(FOLDER / f"{name}.jsonl"))
