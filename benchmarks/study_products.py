"""How fast a layer's matrix products are by torch's own way and by the engine's.

Not a benchmark of an edit: it shows why the engine multiplies by oneDNN. Prints a table of GFLOP/s
for the products of one layer, forward and backward, by rows and threads.
"""

from __future__ import annotations

import torch
from rich.table import Table

from benchmarks.bench import DEFAULT_MODEL, DEFAULT_REPORTS, Model, open_bench, open_model, start
from benchmarks.edit_costs import engine_product, matrices, speed, torch_product
from editsuite.engine import DecoderStack

ROWS = (12, 45, 150, 512)
THREADS = (1, 2)
REPEATS = 3


def main(model: Model = DEFAULT_MODEL) -> None:
    """Print GFLOP/s by rows and threads, the least and the most of three measurements."""
    loaded = open_model(model, "cpu")
    bench = open_bench(threads=0, fresh=False, reports=DEFAULT_REPORTS, device=loaded.device)
    stack = DecoderStack(loaded)
    weights = matrices(stack.layers[stack.depth // 2])
    table = Table("threads", "rows", "torch", "engine", title="GFLOP/s of a layer's products")
    for threads in THREADS:
        torch.set_num_threads(threads)
        for rows in ROWS:
            ways = (torch_product, engine_product)
            seen: list[list[float]] = [[], []]
            for _ in range(REPEATS):
                for way, found in zip(ways, seen, strict=True):
                    found.append(speed(weights, rows, stack.device, way) / 1e9)
            shown = [f"{min(found):.0f} to {max(found):.0f}" for found in seen]
            table.add_row(str(threads), str(rows), *shown)
    bench.console.print(table)


if __name__ == "__main__":
    start(main)
