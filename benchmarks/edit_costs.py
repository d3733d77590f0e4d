"""Where an edit's time goes, and what the machine's matrix products would need at best."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.bench import Bench
from editsuite.editors.lookup import LookupRow, lookup_rows
from editsuite.editors.rome import BoundRome
from editsuite.engine import DecoderStack
from editsuite.engine.linear import linear, threads_keep_bits
from editsuite.facts import EditRequest

#: ``x @ w.T``.
Product = Callable[[Tensor, Tensor], Tensor]

#: Seconds of products behind each measured speed.
LONG_ENOUGH = 0.4
TOP = 15


@dataclass(frozen=True)
class Work:
    """Floating point operations of one edit; a multiplication and an addition are two.

    Attributes:
        once: what runs once: the layers up to the edited one on all tokens, and the layers above
            on the tokens before the subject's last.
        forward: one evaluation of the layers above, on the tokens from the subject's last on.
        head: one evaluation of the vocabulary head at the positions that are read.
        evaluations: how often the loss is evaluated.
        rows: tokens of one evaluation, over all prefixes.
        head_rows: positions that are read.
    """

    once: float
    forward: float
    head: float
    evaluations: int
    rows: int
    head_rows: int

    @property
    def total(self) -> float:
        """All evaluations, all but the last with the gradient of the inputs (as much again)."""
        passes = 2 * self.evaluations - 1
        return self.once + passes * (self.forward + self.head)


def show_profile(bench: Bench, title: str, work: Callable[[], object]) -> None:
    """Run once to warm up, once under torch's profiler; print the operations that cost most."""
    work()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    bench.console.rule(f"{title}: where our time goes")
    averages = found.key_averages()
    bench.console.print(
        averages.table(sort_by="self_cpu_time_total", row_limit=TOP, max_name_column_width=40),
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def show_limit(bench: Bench, stack: DecoderStack, bound: BoundRome, request: EditRequest) -> None:
    """Print the work of an edit, the speed of matrix products at its size, and their quotient."""
    counted = work_of(stack, bound, request)
    # A layer's products, forward and backward, and the head's: each with as many rows as it has.
    layer = matrices(stack.layers[bound.layer])
    inner = speed(layer, counted.rows, stack.device)
    head = speed(matrices(_head(stack)), counted.head_rows, stack.device)
    wide = speed(layer, 2048, stack.device)
    passes = 2 * counted.evaluations - 1
    seconds = counted.once / wide + passes * (counted.forward / inner + counted.head / head)
    made = Table(title=f"layer {bound.layer}: what an edit needs at best ({request.id})")
    made.add_column("")
    made.add_column("value", justify="right")
    for name, value in (
        ("tokens of an evaluation, from the subject's last on", f"{counted.rows}"),
        ("positions that are read", f"{counted.head_rows}"),
        ("evaluations of the loss, at most", f"{counted.evaluations}"),
        ("GFLOP once: below, and before the subject", f"{counted.once / 1e9:.1f}"),
        ("GFLOP of one forward above the layer", f"{counted.forward / 1e9:.2f}"),
        ("GFLOP of one vocabulary head", f"{counted.head / 1e9:.2f}"),
        ("GFLOP of the edit", f"{counted.total / 1e9:.0f}"),
        (f"GFLOP/s of a layer's products at {counted.rows} rows", f"{inner / 1e9:.0f}"),
        (f"GFLOP/s of the head's products at {counted.head_rows} rows", f"{head / 1e9:.0f}"),
        ("GFLOP/s of a layer's products at 2048 rows", f"{wide / 1e9:.0f}"),
        ("threads", f"{bench.threads}"),
        ("seconds needed", f"{seconds:.2f}"),
    ):
        made.add_row(name, value)
    bench.console.print(made)


def work_of(stack: DecoderStack, bound: BoundRome, request: EditRequest) -> Work:
    """Count the operations of an edit's matrix products and of its attention.

    The number of evaluations is the most that the settings allow; an edit that gets its loss
    under ``early_stop`` needs fewer.
    """
    rows = lookup_rows(stack, request, bound.prefixes)
    weights = sum(w.numel() for w in matrices(stack.layers[bound.layer]))
    above = stack.depth - bound.layer - 1
    below = bound.layer + 1
    all_tokens = sum(len(row.ids) for row in rows)
    earlier = sum(row.lookup for row in rows)
    read = sum(len(row.target) for row in rows) + 1
    head = matrices(_head(stack))
    width = stack.loaded.card.hidden_size
    return Work(
        once=2.0 * weights * (below * all_tokens + above * earlier)
        + below * sum(_attention(row, 0, len(row.ids), width) for row in rows)
        + above * sum(_attention(row, 0, row.lookup, width) for row in rows),
        forward=2.0 * weights * above * (all_tokens - earlier)
        + above * sum(_attention(row, row.lookup, len(row.ids), width) for row in rows),
        head=2.0 * sum(w.numel() for w in head) * read,
        evaluations=bound.settings.v_num_grad_steps,
        rows=all_tokens - earlier,
        head_rows=read,
    )


def _attention(row: LookupRow, first: int, last: int, width: int) -> float:
    """Scores and their sum of values, for the queries from ``first`` to ``last`` of a row."""
    seen = sum(position + 1 for position in range(first, last))
    return 4.0 * width * seen


def matrices(module: nn.Module) -> list[Tensor]:
    """The weights that a module multiplies with."""
    return [p.detach() for p in module.parameters() if p.ndim == 2]


def _head(stack: DecoderStack) -> nn.Module:
    model: Any = stack.loaded.model
    head: nn.Module = model.get_output_embeddings()
    return head


def speed(
    weights: list[Tensor], rows: int, device: torch.device, way: Product | None = None
) -> float:
    """Operations per second of ``x @ w.T`` and ``g @ w``; by the faster way where none is given."""
    used = [torch_product] if way is None else [way]
    plain = all(w.dtype is torch.float32 and w.device.type == "cpu" for w in weights)
    if way is None and threads_keep_bits() and plain:
        used.append(engine_product)
    inputs = [
        (torch.randn(rows, w.shape[1], device=device), torch.randn(rows, w.shape[0], device=device))
        for w in weights
    ]
    operations = sum(4.0 * rows * w.numel() for w in weights)

    def run(way: Product) -> None:
        for w, (x, g) in zip(weights, inputs, strict=True):
            way(x.to(w.dtype), w)
            way(g.to(w.dtype), w.t())
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with torch.no_grad():
        return max(operations / _seconds(partial(run, way)) for way in used)


def torch_product(x: Tensor, weight: Tensor) -> Tensor:
    return nn.functional.linear(x, weight)


def engine_product(x: Tensor, weight: Tensor) -> Tensor:
    return linear(x, weight, None)


def _seconds(work: Callable[[], None]) -> float:
    """Shortest time of one call: what disturbs only ever adds."""
    work()
    best, spent = float("inf"), 0.0
    while spent < LONG_ENOUGH:
        start = time.perf_counter()
        work()
        taken = time.perf_counter() - start
        best, spent = min(best, taken), spent + taken
    return best
