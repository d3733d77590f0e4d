"""How many tokens an item of each probe and benchmark takes: what ``editsuite plan`` counts with.

    python -m benchmarks.study_items --data FOLDER

Writes ``editsuite/planning/data/items.json``. Counted with the default model's tokenizer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from editsuite.cards import resolve_card
from editsuite.cards.loading import load_model
from editsuite.measures.capabilities.asking import Asker
from editsuite.measures.capabilities.batteries import battery_of
from editsuite.measures.capabilities.battery import Sheet
from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.capabilities.names import CAPABILITIES

TARGET = Path(__file__).parents[1] / "editsuite" / "planning" / "data" / "items.json"
MODEL = "smollm2-135m-instruct"
#: Items of a benchmark that are counted; probes are counted whole.
COUNTED = 120


def main(
    data: Annotated[Path | None, typer.Option(help="The benchmarks' files.")] = None,
    target: Annotated[Path, typer.Option(help="The file to write.")] = TARGET,
) -> None:
    """Count the tokens of all probes, and of the benchmarks whose files are there."""
    tokenizer = load_model(resolve_card(MODEL), device="cpu").tokenizer
    folder = data or Path(os.environ["EDITSUITE_DATA"])
    found = {}
    for capability in CAPABILITIES:
        for choice in (Choice(), Choice(data=folder, items=COUNTED)):
            battery = battery_of(capability, choice)
            key = battery.source if battery.source != "probe" else f"probe.{capability}"
            found[key] = count(battery.sheets, tokenizer)
            typer.echo(f"{key}: {found[key]}")
    told = {"tokenizer": MODEL, "command": "python -m benchmarks.study_items", "items": found}
    target.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def count(sheets: Sequence[Sheet], tokenizer: Any) -> dict[str, float]:
    """Means over items, and over subsets of what their items begin with."""
    prefixes, own, scored, written = [], [], [], []
    for sheet in sheets:
        asked: dict[int, list[tuple[list[int], int]]] = {}
        for instance in Asker(sheet.task, sheet.docs).requests():
            context, what = instance.args[0], instance.args[1]
            texts = context + what if isinstance(what, str) else context
            ids = list(tokenizer(texts)["input_ids"])
            tail = len(ids) - len(tokenizer(context)["input_ids"]) if isinstance(what, str) else 0
            asked.setdefault(int(instance.doc_id), []).append((ids, max(tail, 0)))
            if not isinstance(what, str):
                written.append(int(what.get("max_gen_toks", 256)))
        rows = [ids for item in asked.values() for ids, _ in item]
        shared = common(rows) if len(asked) > 1 else None
        if shared is not None:
            prefixes.append(shared)
        for item in asked.values():
            own.append((tree([ids for ids, _ in item]), shared))
            scored.append(sum(tail for _, tail in item))
    mean = fmean(prefixes) if prefixes else 0.0
    return {
        "prefix": round(mean, 1),
        "own": round(fmean(n - (mean if s is None else s) for n, s in own), 1),
        "scored": round(fmean(scored), 1),
        "written": max(written, default=0),
        "subsets": len(sheets),
    }


def common(rows: Sequence[Sequence[int]]) -> int:
    """Length of the longest common beginning."""
    return next(
        (i for i, column in enumerate(zip(*rows, strict=False)) if len(set(column)) > 1),
        min(map(len, rows)),
    )


def tree(rows: Sequence[Sequence[int]]) -> int:
    """Tokens of some rows with common beginnings counted once."""
    return len({tuple(row[: i + 1]) for row in rows for i in range(len(row))})


if __name__ == "__main__":
    typer.run(main)
