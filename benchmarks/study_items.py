"""How many tokens an item of each probe and benchmark takes: what ``editsuite plan`` counts with.

    python -m benchmarks.study_items --data FOLDER

Writes ``editsuite/planning/data/items.json``. Counted with the default model's tokenizer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from editsuite.cards import resolve_card
from editsuite.cards.loading import load_model
from editsuite.facts import load_facts, target_tokens
from editsuite.facts.targets import subject_last_token
from editsuite.measures.capabilities.asking import Asker
from editsuite.measures.capabilities.batteries import battery_of
from editsuite.measures.capabilities.battery import Sheet
from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.capabilities.names import CAPABILITIES

TARGET = Path(__file__).parents[1] / "editsuite" / "planning" / "data" / "items.json"
MODEL = "smollm2-135m-instruct"
#: Items of a benchmark that are counted; probes are counted whole.
COUNTED = 120
#: Facts that are counted.
FACTS = 200
BUILTIN = {"builtin": "builtin"}


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
    facts = {name: count_facts(spec, tokenizer) for name, spec in (zsre(folder) | BUILTIN).items()}
    command = "python -m benchmarks.study_items"
    told = {"tokenizer": MODEL, "command": command, "items": found, "facts": facts}
    target.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def zsre(folder: Path) -> dict[str, str]:
    """ZsRE's file in the folder, where it is there."""
    files = sorted((folder / "zsre").glob("*.json"))
    return {"zsre": f"zsre:{files[0]}"} if files else {}


def count_facts(spec: str, tokenizer: Any) -> dict[str, float]:
    """Mean tokens of a fact's prompt, of it up to the subject's end, of target and rephrase."""
    rows = []
    for fact in load_facts(spec).order(0)[:FACTS]:
        tokens = target_tokens(tokenizer, fact.prompt, fact.target_new)
        subject = subject_last_token(tokenizer, fact.prompt, fact.subject)
        essence = f"{fact.subject} is a"
        rows.append(
            (
                len(tokens.context_ids),
                subject,
                len(tokens.target_ids),
                len(tokenizer(essence)["input_ids"]),
                subject_last_token(tokenizer, essence, fact.subject),
                len(tokenizer(fact.rephrase or "")["input_ids"]),
            )
        )
    names = ("prompt", "lookup", "target", "essence", "essence_lookup", "rephrase")
    columns = zip(*rows, strict=True)
    return {name: round(fmean(own), 2) for name, own in zip(names, columns, strict=True)}


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
        shared = common(rows) if len(asked) > 1 else 0
        if shared:
            prefixes.append(shared)
        own.append((tree(rows) - shared, len(asked), shared))
        scored += [sum(tail for _, tail in item) for item in asked.values()]
    mean = fmean(prefixes) if prefixes else 0.0
    # Of a subset of which one item is counted, the beginning cannot be told from the item.
    beyond = sum(tokens - (0 if known else mean) for tokens, _, known in own)
    return {
        "prefix": round(mean, 1),
        "own": round(beyond / sum(n for _, n, _ in own), 1),
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
    ordered = sorted(rows)
    return sum(map(len, rows)) - sum(common(pair) for pair in pairwise(ordered))


if __name__ == "__main__":
    typer.run(main)
