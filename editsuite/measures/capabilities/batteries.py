"""The battery of each capability: a probe, or a benchmark."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from editsuite.measures.capabilities.battery import Battery, Sheet, content_digest
from editsuite.measures.capabilities.judge import judged_by
from editsuite.measures.capabilities.probe import FOLDER, read_probe
from editsuite.measures.capabilities.subsets import TASKS, open_benchmark

if TYPE_CHECKING:
    from editsuite.measures.capabilities.choice import Choice


def battery_of(capability: str, choice: Choice) -> Battery:
    """What a run asks to see a capability.

    Raises:
        AbsentError: the benchmark's files are not there.
        CapabilityError: they are damaged.
        OptionError: no such number of items.
        SandboxError: code is asked and there is no isolation here.
    """
    source = choice.source()
    if source is None:
        return _probe(capability, choice)
    benchmark = choice.benchmark(capability)
    judged = judged_by(capability)
    subsets = open_benchmark(benchmark, source, choice.items, choice.seed, judged)
    sheets = tuple(
        Sheet(one.task, one.numbers, one.items, benchmark.metric, one.name) for one in subsets
    )
    files = [] if benchmark.file.startswith("lm_eval/") else [(TASKS / benchmark.file).read_bytes()]
    documents = [doc for one in subsets for split in one.documents.values() for doc in split]
    settings = json.dumps([benchmark.key, benchmark.shots], sort_keys=True).encode()
    return Battery(
        capability,
        benchmark.key,
        sheets,
        content_digest([*files, settings], documents),
        *_drawing(benchmark.mode.startswith("generation"), choice),
        answers=benchmark.answers,
    )


def _probe(capability: str, choice: Choice) -> Battery:
    probe = read_probe(capability, judged_by(capability))
    ids = tuple(str(item["id"]) for item in probe.items)
    sheet = Sheet(probe.task(), tuple(range(len(ids))), ids, probe.metric)
    content = content_digest([(FOLDER / f"{capability}.yaml").read_bytes()], probe.items)
    writes = probe.settings["output_type"] == "generate_until"
    return Battery(capability, "probe", (sheet,), content, *_drawing(writes, choice))


def _drawing(writes: bool, choice: Choice) -> tuple[float, int]:
    """Temperature and repeats, of what writes text."""
    return (choice.temperature, choice.repeats) if writes else (0.0, 1)
