"""MATH, 4-shot, written out: the engine against lm-eval's HFLM, the same greedy texts.

    python benchmarks/bench_generation.py

All items stand behind the task's own four worked problems. Both sides get the same requests;
HFLM has the fastest of a few batch sizes. Texts may part at a near tie, where the last bits
decide; how many items differ is in the record, and it counts as equal where none does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.bench import (
    DEFAULT_MODEL,
    DEFAULT_REPORTS,
    Bench,
    Compared,
    Device,
    Duel,
    Fresh,
    Model,
    Repeats,
    Reports,
    Threads,
    named,
    open_bench,
    open_model,
    start,
)
from benchmarks.choices import DATA, data_folder, fresh_engine, rival, rival_lm
from editsuite.cards import LoadedModel
from editsuite.measures.capabilities.asking import Asker
from editsuite.measures.capabilities.benchmark import benchmark_of
from editsuite.measures.capabilities.sources import LocalFiles
from editsuite.measures.capabilities.subsets import open_benchmark

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM

NAME, KEY, TARGET = "generation", "math.generation", 4.0
BATCH_SIZES = (1, 4, 8)


def write(lm: LM, requests: list[Instance]) -> list[str]:
    """The call that is timed."""
    texts: list[str] = lm.generate_until(requests, disable_tqdm=True)
    return texts


def same_texts(ours: Sequence[str], theirs: Sequence[str]) -> Compared:
    """Same where every text is; the difference is the share of items that differ."""
    apart = sum(a != b for a, b in zip(ours, theirs, strict=True))
    return Compared(apart == 0, apart / len(ours))


def best_batch_size(
    bench: Bench, loaded: LoadedModel, requests: list[Instance], settings: dict[str, Any]
) -> dict[str, Any]:
    """The rival's fastest batch size on the same items."""

    def tried(size: int) -> float:
        seconds, _ = bench.timed(rival(rival_lm(loaded, size), requests, write), 0)
        return float(seconds)

    found = {
        str(size): bench.once(f"{NAME}-batch-{size}", settings, partial(tried, size))
        for size in BATCH_SIZES
    }
    fastest = min(found, key=lambda size: found[size])
    return {"batch_size": int(fastest), "batch_seconds": found}


def main(
    model: Model = DEFAULT_MODEL,
    items: Annotated[int, typer.Option(min=1, help="items of the test split")] = 8,
    repeats: Repeats = 1,
    threads: Threads = 0,
    device: Device = "cpu",
    fresh: Fresh = False,
    reports: Reports = DEFAULT_REPORTS,
) -> None:
    """Time the writing of MATH solutions on the unedited model."""
    folder = data_folder("math")
    loaded = open_model(model, device)
    bench = open_bench(threads=threads, fresh=fresh, reports=reports, device=loaded.device)
    if folder is None:
        bench.console.print(f"bench_generation: no folder math of the dataset; set {DATA}")
        return
    (subset,) = open_benchmark(benchmark_of(KEY), LocalFiles(folder.parent), items)
    asked = [
        one
        for one in Asker(subset.task, subset.numbers).requests()
        if one.request_type == "generate_until"
    ]
    settings = {"model": loaded.digest, "items": [r.args[0] for r in asked]}
    batch = best_batch_size(bench, loaded, asked, settings)
    bench.run(
        Duel(
            name=named(f"{NAME}-math", loaded),
            target=TARGET,
            n=len(asked),
            ours=fresh_engine(loaded, asked, write),
            rival=rival(rival_lm(loaded, batch["batch_size"]), asked, write),
            compare=same_texts,
            settings={**settings, "batch_size": batch["batch_size"]},
            details={
                "model": loaded.card.name,
                "rival": f"lm-eval {version('lm_eval')}, HFLM",
                **batch,
            },
        ),
        repeats,
    )


if __name__ == "__main__":
    start(main)
