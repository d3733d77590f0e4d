"""A benchmark's subsets: its tasks over documents, ready to be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editsuite.errors import CapabilityError, MeasureError
from editsuite.measures.capabilities.asking import Asker
from editsuite.measures.capabilities.benchmark import Benchmark
from editsuite.measures.capabilities.items import Wanted, ids_of, spread_items
from editsuite.measures.capabilities.programs import ProcessResults
from editsuite.measures.capabilities.sources import Source
from editsuite.measures.capabilities.task import (
    THEIRS,
    Documents,
    read_task_file,
    task_over,
)

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask


TASKS = Path(__file__).parent / "tasks"
_PREFIX = "lm_eval/"
#: What a group's file holds that is no setting of a task.
_OF_GROUPS = ("group", "task", "metadata", "aggregate_metric_list")


@dataclass(frozen=True)
class Subset:
    """Items of one task: a subject, a language, or a whole benchmark.

    Attributes:
        benchmark: what it belongs to.
        name: the subject or the language; empty where the benchmark has no subsets.
        settings: of its task.
        documents: by split, all its documents.
        items: ids of the items to ask, in the order in which they were chosen.
    """

    benchmark: Benchmark
    name: str
    settings: Mapping[str, Any]
    documents: Documents
    items: tuple[str, ...]

    @cached_property
    def task(self) -> ConfigurableTask:
        """lm-eval's task over the documents."""
        return task_over(self.settings, self.documents)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the items among the documents that are asked."""
        places = {one: number for number, one in enumerate(ids_of(_asked(self)))}
        return tuple(places[item] for item in self.items)

    def asker(self, temperature: float = 0.0, repeats: int = 1) -> Asker:
        """The items, ready to be asked of one state after another; the answers come in the
        order of ``items``.

        Raises:
            MeasureError: a temperature is given and the benchmark's mode writes no text.
            OptionError: the temperature is below 0, or there is nothing to repeat.
        """
        return Asker(self.task, self.numbers, temperature=temperature, repeats=repeats)


def open_benchmark(
    benchmark: Benchmark,
    source: Source,
    wanted: Wanted,
    seed: int = 0,
    scored_by: ProcessResults | None = None,
) -> tuple[Subset, ...]:
    """The subsets of a benchmark of which something is to be asked.

    Args:
        benchmark: which.
        source: where its documents come from.
        wanted: how many items of the whole benchmark, or ``"all"``.
        seed: of the choice of items.
        scored_by: scores an item's replies in place of what the task file names; code needs it.

    Raises:
        CapabilityError: the benchmark needs something that is absent, or its documents cannot be
            had. No model is needed to find that out.
        OptionError: no such number of items.
    """
    if benchmark.lacks and scored_by is None:
        mend = "leave it out until that is there"
        raise CapabilityError(benchmark.key, "this version", benchmark.lacks, mend)
    documents = source.documents(benchmark.name)
    scored = {} if scored_by is None else {"process_results": scored_by}
    settings = {name: settings_of(benchmark, name) | scored for name in documents}
    asked = {name: ids_of(documents[name][_split(settings[name])]) for name in documents}
    chosen = spread_items(asked, wanted, seed)
    return tuple(
        Subset(benchmark, name, settings[name], documents[name], chosen[name])
        for name in sorted(documents)
        if chosen[name]
    )


def settings_of(benchmark: Benchmark, subset: str) -> dict[str, Any]:
    """Settings of the task of a subset.

    Raises:
        CapabilityError: the benchmark has no such subset.
    """
    name = benchmark.file.format(subset)
    theirs = name.startswith(_PREFIX)
    path = (THEIRS if theirs else TASKS) / name.removeprefix(_PREFIX)
    if not path.is_file():
        raise _unknown(benchmark, subset, path)
    settings = read_task_file(path)
    if "group" in settings:
        own = next((one for one in settings["task"] if one["task"] == subset), None)
        if own is None:
            raise _unknown(benchmark, subset, path)
        common = {key: value for key, value in settings.items() if key not in _OF_GROUPS}
        # The documents at hand are of this subset already.
        settings = common | own | {"task": f"{settings['group']}::{subset}", "process_docs": None}
    metadata = settings.get("metadata", {}) | benchmark.settings.get("metadata", {})
    return settings | dict(benchmark.settings) | {"metadata": metadata}


def _unknown(benchmark: Benchmark, subset: str, path: Path) -> CapabilityError:
    reason, mend = f"has no subset {subset!r}", "take its file out of the folder of the data"
    return CapabilityError(benchmark.key, path, reason, mend)


def _asked(subset: Subset) -> Sequence[Mapping[str, Any]]:
    return subset.documents[_split(subset.settings)]


def _split(settings: Mapping[str, Any]) -> str:
    """lm-eval asks the test split where there is one, else the validation split."""
    split = settings.get("test_split") or settings.get("validation_split")
    if split is None:
        raise MeasureError(f"task {settings.get('task')!r} names no split to ask")
    return str(split)
