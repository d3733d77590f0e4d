"""Real benchmarks on the unedited model: the engine against lm-eval's HFLM, item by item.

    python -m benchmarks.study_capabilities --keep FOLDER

Both sides get the same requests of the same task; compared are each item's scores and its text
or option. A log-likelihood of the right answer is compared besides. Finished groups of items are
kept in the folder, so that a study that was cut off goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from benchmarks.bench import DEFAULT_MODEL, Model, start
from benchmarks.choices import engine_lm, rival_lm
from benchmarks.study_covariance import Bench, open_bench
from editsuite.measures.capabilities.asking import Answer, Asker
from editsuite.measures.capabilities.benchmark import Benchmark, benchmark_of
from editsuite.measures.capabilities.documents import Subsets
from editsuite.measures.capabilities.sources import LocalFiles, Source
from editsuite.measures.capabilities.subsets import Subset, open_benchmark

KEYS = (
    "commonsense_qa.generation",
    "commonsense_qa.loglikelihood",
    "mmlu.ppl",
    "mmlu.loglikelihood",
    "bbh.generation",
)
SUBSETS = (
    *("astronomy", "high_school_geography", "philosophy"),
    *("boolean_expressions", "date_understanding", "web_of_lies"),
)
GROUP = 10


@dataclass(frozen=True)
class Some:
    """A source of which a benchmark with subsets gives some of them only.

    Attributes:
        source: the whole.
        names: the subsets wanted.
    """

    source: Source
    names: Sequence[str]

    def documents(self, dataset: str) -> Subsets:
        """Documents of the wanted subsets, or of the one there is."""
        found = self.source.documents(dataset)
        return {name: found[name] for name in found if not name or name in self.names}


def groups(benchmark: Benchmark, source: Source, items: int) -> Iterator[tuple[Subset, list[int]]]:
    """Groups of the chosen items, few enough to be lost when the study is cut off."""
    for subset in open_benchmark(benchmark, source, items):
        numbers = list(subset.numbers)
        for first in range(0, len(numbers), GROUP):
            yield subset, numbers[first : first + GROUP]


def compare(bench: Bench, subset: Subset, numbers: Sequence[int]) -> dict[str, Any]:
    """Ask one group of both sides."""
    asker = Asker(subset.task, numbers)
    sides, seconds = [], []
    for lm in (engine_lm(bench.stack), rival_lm(bench.stack.loaded, 1)):
        begun = time.perf_counter()
        sides.append(asker.ask(lm))
        seconds.append(time.perf_counter() - begun)
    return {"seconds": seconds, "items": list(map(_pair, *sides))}


def _pair(ours: Answer, theirs: Answer) -> dict[str, Any]:
    return {
        "scores": [dict(ours.scores), dict(theirs.scores)],
        "replies": [ours.reply, theirs.reply],
        "gold": [ours.gold, theirs.gold],
    }


def row(benchmark: Benchmark, found: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """What a benchmark's groups come to."""
    items = [item for _, group in found for item in group["items"]]
    scores: list[dict[str, list[float]]] = [{}, {}]
    for subset, group in found:
        for item in group["items"]:
            for side, of_side in enumerate(scores):
                of_side.setdefault(subset, []).append(item["scores"][side][benchmark.metric])
    apart = max(abs(ours - theirs) for ours, theirs in (item["gold"] for item in items))
    return [
        benchmark.key,
        str(len(items)),
        *(f"{benchmark.score(of_side):.3f}" for of_side in scores),
        str(sum(item["scores"][0] != item["scores"][1] for item in items)),
        str(sum(item["replies"][0] != item["replies"][1] for item in items)),
        f"{apart:.1e}",
        *(f"{sum(group['seconds'][side] for _, group in found):.0f}" for side in range(2)),
    ]


def main(
    keep: Annotated[Path, typer.Option(help="folder in which finished groups are kept")],
    data: Annotated[Path, typer.Option(help="folder of the datasets")],
    model: Model = DEFAULT_MODEL,
    items: Annotated[int, typer.Option(min=1, help="items of a benchmark")] = 100,
    keys: Annotated[str, typer.Option(help="benchmarks")] = ",".join(KEYS),
    subsets: Annotated[str, typer.Option(help="subjects and tasks")] = ",".join(SUBSETS),
) -> None:
    """Compare the engine with HFLM on real items."""
    source = Some(LocalFiles(data), subsets.split(","))
    bench = open_bench(model, keep)
    table = Table(box=box.SIMPLE, title="the engine and HFLM")
    heads = ("benchmark", "items", "ours", "HFLM", "other scores", "other replies")
    for column in (*heads, "gold apart", "ours s", "HFLM s"):
        table.add_column(column, justify="right")
    for key in keys.split(","):
        found = []
        for subset, numbers in groups(benchmark_of(key), source, items):
            name = f"{key} {subset.name} {'-'.join(map(str, numbers))}"
            work = partial(compare, bench, subset, numbers)
            found.append((subset.name, bench.once(name, work)))
        table.add_row(*row(benchmark_of(key), found))
    bench.console.print(table)


if __name__ == "__main__":
    start(main)
