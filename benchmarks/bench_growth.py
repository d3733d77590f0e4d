"""How time, disk and memory grow with edits, states and items.

    python benchmarks/bench_growth.py
    python benchmarks/bench_growth.py --full      1000 edits instead of 100

Edits are those of a fresh chain with its journal. States are looked at one after another, all
asked about the same items, through one stack that keeps the layers below the edited one. Items are
asked of one state. Each part is measured at several points and a straight line is fitted: its
slope is what one more edit, state or item costs, and r2 says how straight it is.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from rich import box
from rich.table import Table

from benchmarks.bench import (
    DEFAULT_MODEL,
    DEFAULT_REPORTS,
    Bench,
    Device,
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
from benchmarks.choices import resuming
from benchmarks.states import chain_of
from editsuite.cards import LoadedModel
from editsuite.chains import Chain
from editsuite.engine import Continuation, DecoderStack, score
from editsuite.facts import load_facts, target_tokens
from editsuite.files import write_text_atomically

EDITS = (10, 20, 50, 100)
FULL = (200, 500, 1000)
STATES = (1, 5, 10, 15, 20, 25)
ITEMS = (50, 100, 200, 350, 500)
#: Items that every state is asked.
ASKED = 50
#: So many first and so many last edits are compared.
OVER = 100


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        axis: ``edits``, ``states`` or ``items``.
        n: how many.
        seconds: for all of them.
        cpu: the same as CPU time of the process, which other work on the machine disturbs less.
        rss: resident memory of the process after it, in bytes.
        journal_per_edit: bytes on disk for one edit; None on the other axes.
    """

    axis: str
    n: int
    seconds: float
    cpu: float
    rss: int
    journal_per_edit: float | None = None


@dataclass(frozen=True)
class Line:
    """A straight line through the points of an axis.

    Attributes:
        axis: whose.
        slope: seconds for one more.
        cpu_slope: CPU seconds for one more.
        intercept: seconds for none.
        r2: share of the variance that the line explains.
        rss_slope: bytes of resident memory for one more.
    """

    axis: str
    slope: float
    cpu_slope: float
    intercept: float
    r2: float
    rss_slope: float


@dataclass(frozen=True)
class Growth:
    """What is measured, and where it is kept.

    Attributes:
        bench: conditions, clock and kept parts.
        loaded: the model.
        chain: a chain with a folder of its own.
        layer: the edited layer.
        repeats: timings of each point of states and items; the median counts.
        per_edit: CPU seconds of every edit, once they are made.
    """

    bench: Bench
    loaded: LoadedModel
    chain: Chain
    layer: int
    repeats: int
    per_edit: list[float] = field(default_factory=list)

    @cached_property
    def settings(self) -> dict[str, object]:
        """What the timings depend on."""
        return {"plan": self.chain.plan.digest, "repeats": self.repeats}

    def edits(self, points: Sequence[int]) -> list[Point]:
        """Edit up to the last point, timing every edit."""
        name = "growth-edits"
        held = self.bench.kept(name, self.settings) or []
        for index in range(len(held) + 1, points[-1] + 1):
            before = time.process_time()
            seconds = self._edit(index)
            cpu = time.process_time() - before
            held.append({"seconds": seconds, "cpu": cpu, "rss": _rss()})
            held = self.bench.keep(name, self.settings, held)
            if index in points:
                self.bench.console.print(f"[dim]edit {index}: {seconds:.3f} s[/dim]")
        totals = np.cumsum([[part["seconds"], part["cpu"]] for part in held], axis=0)
        self.per_edit[:] = [float(part["cpu"]) for part in held[: points[-1]]]
        return [
            Point("edits", n, *map(float, totals[n - 1]), held[n - 1]["rss"], self._journal(n))
            for n in points
        ]

    def _edit(self, index: int) -> float:
        if self.chain.sound() >= index:
            # Edited by a run that was stopped before its time was kept: the method's own time.
            return float(self.chain.record(index)["seconds"] or 0.0)
        self.bench.settle()
        start = self.bench.clock()
        self.chain.ensure(index)
        self.bench.settle()
        return self.bench.clock() - start

    def _journal(self, edits: int) -> float:
        paths = [path for index in range(1, edits + 1) for path in self.chain.journal.paths(index)]
        return sum(path.stat().st_size for path in paths) / edits

    def states(self, points: Sequence[int]) -> list[Point]:
        """Walk through the first states of the chain and ask each about the same items."""
        items = self._items(ASKED)

        def look(number: int) -> None:
            stack = DecoderStack(self.loaded)
            with resuming(stack, self.layer):
                for edits in range(1, number + 1):
                    self.chain.go(edits)
                    score(stack, items)

        return [self._point("states", n, partial(look, n)) for n in points]

    def items(self, points: Sequence[int]) -> list[Point]:
        """Ask one state about more and more items."""
        self.chain.go(1)
        asked = {n: self._items(n) for n in points}
        return [self._point("items", n, partial(self._score, asked[n])) for n in points]

    def _score(self, items: Sequence[Continuation]) -> None:
        score(DecoderStack(self.loaded), items)

    def _point(self, axis: str, n: int, work: Callable[[], object]) -> Point:
        def measure() -> dict[str, Any]:
            seconds, cpu = [], []
            for _ in range(self.repeats):
                self.bench.settle()
                start, before = self.bench.clock(), time.process_time()
                work()
                self.bench.settle()
                seconds.append(self.bench.clock() - start)
                cpu.append(time.process_time() - before)
            return {"seconds": seconds, "cpu": cpu, "rss": _rss()}

        found = self.bench.once(f"growth-{axis}-{n}", self.settings, measure)
        self.bench.console.print(f"[dim]{axis} {n}: done[/dim]")
        seconds, cpu = statistics.median(found["seconds"]), statistics.median(found["cpu"])
        return Point(axis, n, seconds, cpu, found["rss"])

    def _items(self, number: int) -> list[Continuation]:
        tokenizer = self.loaded.tokenizer
        facts = load_facts("builtin").order(0)[:number]
        tokens = [target_tokens(tokenizer, f.prompt, f.target_new) for f in facts]
        return [Continuation(t.context_ids, t.target_ids) for t in tokens]


def line(points: Sequence[Point]) -> Line:
    """Least squares through the points of one axis."""
    n = np.array([p.n for p in points], dtype=float)
    seconds = np.array([p.seconds for p in points])
    slope, intercept = np.polyfit(n, seconds, 1)
    cpu = np.polyfit(n, np.array([p.cpu for p in points]), 1)[0]
    unexplained = float(((seconds - (slope * n + intercept)) ** 2).sum())
    variance = float(((seconds - seconds.mean()) ** 2).sum())
    r2 = 1.0 - unexplained / variance if variance else 1.0
    memory = np.polyfit(n, np.array([p.rss for p in points], dtype=float), 1)[0]
    return Line(points[0].axis, float(slope), float(cpu), float(intercept), r2, float(memory))


def _rss() -> int:
    return int(psutil.Process().memory_info().rss)


def show(bench: Bench, points: Sequence[Point], lines: Sequence[Line]) -> None:
    """Points and lines as tables."""
    rows = Table(box=box.SIMPLE, title="points")
    for column in ("axis", "n", "seconds", "CPU s", "memory MB", "journal bytes/edit"):
        rows.add_column(column, justify="right")
    for p in points:
        journal = "" if p.journal_per_edit is None else f"{p.journal_per_edit:.0f}"
        times = f"{p.seconds:.3f}", f"{p.cpu:.3f}"
        rows.add_row(p.axis, str(p.n), *times, f"{p.rss / 1e6:.0f}", journal)
    fits = Table(box=box.SIMPLE, title="lines")
    for column in ("axis", "slope s", "slope CPU s", "intercept s", "r2", "memory kB/one more"):
        fits.add_column(column, justify="right")
    for fit in lines:
        slopes = f"{fit.slope:.4f}", f"{fit.cpu_slope:.4f}"
        numbers = *slopes, f"{fit.intercept:.3f}", f"{fit.r2:.4f}"
        fits.add_row(fit.axis, *numbers, f"{fit.rss_slope / 1e3:.1f}")
    bench.console.print(rows, fits)


def main(
    model: Model = DEFAULT_MODEL,
    layer: Annotated[int, typer.Option(help="edited layer; -1: the card's")] = -1,
    steps: Annotated[int, typer.Option(help="v_num_grad_steps; 0: the card's")] = 0,
    tokens: Annotated[int, typer.Option(help="mom2_n_tokens; 0: the card's")] = 0,
    edits: Annotated[int, typer.Option(help="edits at most; 0: all points")] = 0,
    items: Annotated[int, typer.Option(help="items at most; 0: all points")] = 0,
    full: Annotated[bool, typer.Option("--full", help="go on to 1000 edits")] = False,
    repeats: Repeats = 5,
    threads: Threads = 0,
    device: Device = "cpu",
    fresh: Fresh = False,
    reports: Reports = DEFAULT_REPORTS,
) -> None:
    """Measure growth with edits, states and items."""
    loaded = open_model(model, device)
    bench = open_bench(threads=threads, fresh=fresh, reports=reports, device=loaded.device)
    chosen = loaded.card.layers["rome"][0] if layer < 0 else layer
    given: dict[str, object] = {}
    if steps:
        given["v_num_grad_steps"] = steps
    if tokens:
        given["mom2_n_tokens"] = tokens
    # A chain of its own for this code: an edit that is kept already takes no time.
    place = reports / "bench" / "growth" / f"{bench.code[:12]}-{int(bench.since)}"
    chain = chain_of(loaded, chosen, bench.cache(model), given=given, chains=place)
    chain.editor.prepare()
    growth = Growth(bench, loaded, chain, chosen, repeats)
    wanted = [n for n in (*EDITS, *(FULL if full else ())) if not edits or n <= edits] or [edits]
    by_edits = growth.edits(wanted)
    by_states = growth.states([n for n in STATES if n <= wanted[-1]])
    by_items = growth.items([n for n in ITEMS if not items or n <= items] or [items])
    chain.go(0)
    points = [*by_edits, *by_states, *by_items]
    lines = [line(part) for part in (by_edits, by_states, by_items) if len(part) > 1]
    record = {
        "model": named(loaded.card.name, loaded),
        "layer": chosen,
        "threads": bench.threads,
        "command": bench.command,
        "machine": asdict(bench.machine),
        "repeats": repeats,
        "items_of_a_state": ASKED,
        "edit_cpu_over": (over := min(OVER, len(growth.per_edit))),
        "edit_cpu": [
            statistics.fmean(growth.per_edit[:over]),
            statistics.fmean(growth.per_edit[-over:]),
        ],
        "rows": [asdict(point) for point in points],
        "lines": [asdict(fit) for fit in lines],
    }
    write_text_atomically(reports / "bench-growth.json", json.dumps(record, indent=1) + "\n")
    show(bench, points, lines)


if __name__ == "__main__":
    start(main)
