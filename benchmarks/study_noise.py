"""Does a verdict flip by itself? The standard tier again and again, computed in other ways.

    python -m benchmarks.study_noise

Each repeat edits anew and measures anew, with its own number of threads, batch size and order of
the items, and is held against the committed baselines. A verdict that is not the same in all
repeats has flipped. Every repeat has chains and looks of its own in the suite's cache; a study
that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.bench import DEFAULT_MODEL, DEFAULT_REPORTS, Model, Reports, start
from benchmarks.committed import DEFAULT_BASELINES, Baselines
from benchmarks.gate import (
    SEEN_BY,
    Check,
    baseline_of,
    chosen_checks,
    observe,
    values,
    whole_numbers,
)
from benchmarks.noise_page import PAGE, content, write_page
from benchmarks.pool import in_processes
from benchmarks.reordered import Reordered
from editsuite.cards import cache_root
from editsuite.code import code_digest
from editsuite.editors import method
from editsuite.files import sha256_of, write_text_atomically
from editsuite.plugin.baseline_file import jsonable
from editsuite.runs import Run, RunSettings, parse_counts
from editsuite.runs.opening import cases_of
from editsuite.verdicts import Comparison

RECORD = "noise.json"


@dataclass(frozen=True)
class Repeat:
    """One way to do the same.

    Attributes:
        number: counted from 1; the order of the items is drawn from it.
        threads: CPU threads.
        token_budget: tokens of a forward pass of the measures.
        own_ways: by the engine's own products; else by torch's, which have other last bits.
    """

    number: int
    threads: int
    token_budget: int
    own_ways: bool = True

    @property
    def folder(self) -> str:
        """Its chains' folder, and its space in the store of looks."""
        ways = "own" if self.own_ways else "torch"
        return f"noise-{self.number}-t{self.threads}-b{self.token_budget}-{ways}"


def repeats(
    number: int, threads: Sequence[int], budgets: Sequence[int], rounding: int
) -> list[Repeat]:
    """So many ways, every thread count with every batch size in turn; the last with other bits."""
    pairs = [(t, b) for b in budgets for t in threads]
    return [
        Repeat(i + 1, *pairs[i % len(pairs)], own_ways=i < number - rounding) for i in range(number)
    ]


def repeated(
    settings: RunSettings, name: str, checks: Sequence[Check], baselines: Path, repeat: Repeat
) -> dict[str, Any]:
    """One repeat after every count: each check's verdict, and how near it came to another one."""
    import torch

    torch.set_num_threads(repeat.threads)
    folder = settings.cache / "calibration" / repeat.folder
    run = Run(
        replace(
            settings,
            chains=folder,
            token_budget=repeat.token_budget,
            own_ways=repeat.own_ways,
            space=repeat.folder,
        )
    )
    run.measures = Reordered(run.measures, repeat.number)
    counts = {}
    (case,) = cases_of(settings, run.card, method(name))
    baseline = baseline_of(baselines, run.card.name, name, case)
    for edits in settings.counts:
        held = baseline.only(checks, edits)
        observed = observe(run, case, edits, held)
        counts[str(edits)] = {
            "verdicts": {c.name: verdict(baseline.held(c, edits, observed)) for c in held},
            "values": {name: jsonable(value) for name, value in values(observed).items()},
        }
    identity = {
        "model": run.card.name,
        "case": str(case),
        "plan": run.chain(case).plan.digest,
        "code": code_digest(SEEN_BY),
        "baselines": sha256_of(baseline.file),
    }
    return {"repeat": asdict(repeat), "identity": identity, "counts": counts}


def verdict(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """A check's verdict, and its number that lies farthest from the baseline, in tolerances."""
    apart = {c.name: used(c) for c in comparisons}
    farthest = max(apart, key=apart.__getitem__)
    passes = all(c.outcome == "pass" for c in comparisons)
    return {"passes": passes, "farthest": farthest, "used": jsonable(apart[farthest])}


def used(one: Comparison) -> float:
    """Which part of its tolerance a number uses up; 0 where it is the baseline, to the bit."""
    if one.value is None or one.expected is None or math.isnan(one.difference):
        return math.inf
    if one.outcome == "pass" and one.difference == 0:
        return 0.0
    room = one.expected.tolerance
    return abs(one.difference) / room if room else (0.0 if one.outcome == "pass" else math.inf)


def read_record(path: Path) -> list[dict[str, Any]]:
    """The repeats that were made so far."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["repeats"]
    return found


def keep(path: Path, found: Mapping[str, Any]) -> None:
    """Put one repeat into the record; what is there of another plan, code or baseline goes."""
    others = [
        old
        for old in read_record(path)
        if old["identity"] == found["identity"] and old["repeat"] != found["repeat"]
    ]
    ordered = sorted([*others, found], key=lambda one: one["repeat"]["number"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, json.dumps({"repeats": ordered}, indent=1) + "\n")


def main(
    model: Model = DEFAULT_MODEL,
    method: Annotated[str, typer.Option(help="the editing method")] = "rome",
    counts: Annotated[str, typer.Option(help="numbers of edits")] = "1,10,20,50,100",
    number: Annotated[int, typer.Option(min=2, help="repeats")] = 20,
    threads: Annotated[str, typer.Option(help="thread counts")] = "1,2",
    budgets: Annotated[str, typer.Option(help="batch sizes in tokens")] = "96,512,2048,4096",
    rounding: Annotated[
        int, typer.Option(min=0, help="repeats computed by torch's own products")
    ] = 0,
    capabilities: Annotated[bool, typer.Option(help="ask capabilities, too")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="repeats at once, a process each")] = 1,
    baselines: Baselines = DEFAULT_BASELINES,
    reports: Reports = DEFAULT_REPORTS,
    cache: Annotated[Path | None, typer.Option(help="the suite's cache folder")] = None,
    page: Annotated[bool, typer.Option("--page", help="only write the page's table")] = False,
) -> None:
    """Repeat the tier, and write the record after each repeat; or write the page's table."""
    console, path = Console(soft_wrap=True), reports / RECORD
    if page:
        write_page(read_record(path), PAGE, console)
    else:
        settings = RunSettings(
            model, "builtin", parse_counts(counts), None, 0, "cpu", "float32", cache_root(cache)
        )
        asked = chosen_checks("", capabilities=capabilities)
        work = partial(repeated, settings, method, asked, baselines)
        tried = repeats(number, whole_numbers(threads), whole_numbers(budgets), rounding)
        for found in in_processes(work, tried, jobs):
            keep(path, found)
            console.print(f"done: {found['repeat']}", highlight=False)
        console.print(content(read_record(path)), markup=False, highlight=False)


if __name__ == "__main__":
    start(main)
