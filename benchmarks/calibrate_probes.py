"""Which written items become a probe: those that the unedited default model answers rightly.

    python -m benchmarks.calibrate_probes
    python -m benchmarks.calibrate_probes --capability knowledge

``benchmarks/probes/NAME.jsonl`` holds all items that were written for a capability. They are asked
of the default model; the rule is `Rule`. Written anew: the probe's items in the package, and beside
the written ones ``NAME.measured.jsonl`` (every item's margin) and ``NAME.discarded.jsonl`` (the
reason for each that was left out). An item with a ``pair`` stays or goes with its partner. Where a
task file says ``guessable: false``, what is right without the passage is left out as well.
"""

from __future__ import annotations

import json
import logging
import math
import statistics
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer
from rich.console import Console

from benchmarks.bench import DEFAULT_MODEL, ROOT, open_model, start
from benchmarks.table import row
from editsuite.errors import OptionError, listing
from editsuite.files import write_text_atomically

if TYPE_CHECKING:
    from editsuite.engine.harness import EngineLM
    from editsuite.measures.capabilities.probe import Probe

WRITTEN = ROOT / "benchmarks" / "probes"
#: In a task file's metadata: the prompt without the question, to see what answers tell of
#: themselves, and whether an item may be answered from that alone.
BLIND, GUESSABLE = "blind", "guessable"
WRONG, NARROW, GUESSED, PARTNER, SPARE = "wrong", "narrow", "guessed", "partner", "spare"


@dataclass(frozen=True)
class Rule:
    """An item is kept if it is right, its margin is at least `least`, and there is room.

    Room is for `most` items: of more, those with the smallest margins stay, as damage shows there
    first. A pair's margin is the smaller of the two.

    Attributes:
        least: smallest margin, nats, by the task's output type.
        most: number of items.
    """

    least: Mapping[str, float]
    most: int = 96


#: Where a task file says that fewer items are kept, because each takes long.
ROOM = "room"
#: Options: log-likelihood of the right one over that of the best wrong one, as the metric ranks
#: them. Generation: log-likelihood of the right answer a token; above ln(1/2) no other token can
#: be likelier than the right one of a one-token answer.
RULE = Rule({"multiple_choice": 0.3, "generate_until": -0.6})


@dataclass(frozen=True)
class Measured:
    """What the default model made of one item.

    Attributes:
        id: of the item.
        right: whether it was answered rightly.
        margin: see `RULE`; nats, to three places.
    """

    id: str
    right: bool
    margin: float


def names() -> list[str]:
    """Capabilities that items were written for."""
    return sorted(path.stem for path in WRITTEN.glob("*.jsonl") if "." not in path.stem)


def measured(probe: Probe, lm: EngineLM) -> list[Measured]:
    """Ask all items of a probe."""
    from editsuite.measures.capabilities.asking import Asker

    task = probe.task()
    answers = Asker(task, range(len(probe.items))).ask(lm)
    margins = [answer.gold for answer in answers]
    if probe.settings["output_type"] == "multiple_choice":
        for doc, group in groupby(task.instances, key=lambda instance: int(instance.doc_id)):
            margins[doc] = margin_of_options(task, list(group), probe.metric)
    return [
        Measured(item["id"], answer.scores[probe.metric] == 1.0, round(margin, 3))
        for item, answer, margin in zip(probe.items, answers, margins, strict=True)
    ]


def margin_of_options(task: Any, options: Sequence[Any], metric: str) -> float:
    """Log-likelihood of the right option over that of the best wrong one.

    ``acc`` ranks options by their whole log-likelihood, ``acc_norm`` by that of a character.
    """
    document = options[0].doc
    choices = list(task.doc_to_choice(document))
    right = task.doc_to_target(document)
    right = choices.index(right) if isinstance(right, str) else int(right)
    ranks = [
        option.resps[0][0] / (len(choice) if metric == "acc_norm" else 1)
        for option, choice in zip(options, choices, strict=True)
    ]
    return float(ranks[right] - max(rank for i, rank in enumerate(ranks) if i != right))


def reasons(
    items: Sequence[Mapping[str, Any]],
    found: Sequence[Measured],
    least: float,
    most: int,
    guessed: Container[str] = (),
) -> dict[str, str]:
    """Why items are left out, by their ids; what is not among them is kept."""
    pairs: dict[str, list[Measured]] = {}
    for item, one in zip(items, found, strict=True):
        pairs.setdefault(str(item.get("pair") or item["id"]), []).append(one)
    left: dict[str, str] = {}
    good = []
    for pair in pairs.values():
        own = {one.id: reason for one in pair if (reason := failing(one, least, guessed))}
        left |= {one.id: own.get(one.id, PARTNER) for one in pair if own}
        if not own:
            good.append(pair)
    room = most
    for pair in sorted(good, key=lambda pair: min(one.margin for one in pair)):
        room -= len(pair)
        if room < 0:
            left |= {one.id: SPARE for one in pair}
    return {item["id"]: left[item["id"]] for item in items if item["id"] in left}


def failing(one: Measured, least: float, guessed: Container[str]) -> str | None:
    """What is against an item by itself."""
    if not one.right:
        return WRONG
    if one.margin < least:
        return NARROW
    return GUESSED if one.id in guessed else None


def room_of(settings: Mapping[str, Any]) -> int:
    """How many items a probe may keep: the rule's number, or what its task file says."""
    return int(settings["metadata"].get(ROOM, RULE.most))


def lines(records: Iterable[Mapping[str, Any]]) -> str:
    """Records as a file of one JSON object a line."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def calibrate(name: str, lm: EngineLM, package: Path) -> dict[str, Any]:
    """Ask the written items, write what is kept and what not, and ask the kept ones again."""
    from editsuite.measures.capabilities.judge import judged_by
    from editsuite.measures.capabilities.probe import Probe, probe_settings, read_items

    settings, items = probe_settings(name), read_items(WRITTEN / f"{name}.jsonl")
    if (judged := judged_by(name)) is not None:
        settings |= {"process_results": judged}
    probe = Probe(name, settings, items)
    found = measured(probe, lm)
    right = {one.id for one in found if one.right}
    sighted = replace(probe, items=tuple(item for item in items if item["id"] in right))
    guesses = () if settings["metadata"].get(GUESSABLE, True) else guessed(sighted, lm)
    left = reasons(items, found, RULE.least[settings["output_type"]], room_of(settings), guesses)
    kept = replace(probe, items=tuple(item for item in items if item["id"] not in left))
    write_text_atomically(package / f"{name}.jsonl", lines(kept.items))
    write_text_atomically(WRITTEN / f"{name}.measured.jsonl", lines(map(asdict, found)))
    discarded = [{"id": key, "reason": reason} for key, reason in left.items()]
    write_text_atomically(WRITTEN / f"{name}.discarded.jsonl", lines(discarded))
    begun = time.process_time()
    again = measured(kept, lm)
    seconds = time.process_time() - begun
    return {
        "capability": name,
        "written": len(items),
        "right": len(right),
        **{
            reason: list(left.values()).count(reason)
            for reason in (NARROW, GUESSED, PARTNER, SPARE)
        },
        "kept": len(kept.items),
        "again": sum(one.right for one in again) / max(1, len(again)),
        "quartiles": quartiles([one.margin for one in again]),
        "blind": blind(kept, lm),
        "cpu_seconds": seconds,
    }


def blind(probe: Probe, lm: EngineLM) -> float:
    """Share right where the prompt holds no question; NaN where the task file names no such."""
    if BLIND not in probe.settings["metadata"]:
        return math.nan
    return len(guessed(probe, lm)) / max(1, len(probe.items))


def guessed(probe: Probe, lm: EngineLM) -> frozenset[str]:
    """Items that are answered rightly where the prompt holds no question."""
    prompt = probe.settings["metadata"][BLIND]
    unseeing = {**probe.settings, "doc_to_text": prompt, "num_fewshot": 0}
    found = measured(replace(probe, settings=unseeing), lm)
    return frozenset(one.id for one in found if one.right)


def quartiles(margins: Sequence[float]) -> list[float]:
    """Of the margins."""
    return statistics.quantiles(margins, n=4) if len(margins) > 1 else [*margins] * 3


def report(rows: Sequence[Mapping[str, Any]]) -> str:
    """Results as a Markdown table."""
    head = list(rows[0])
    return "\n".join(
        row(list(map(cell, line)))
        for line in [head, ["---"] * len(head)] + [list(r.values()) for r in rows]
    )


def cell(value: object) -> str:
    """A value of the table."""
    if isinstance(value, list):
        return " ".join(map(cell, value))
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def main(
    capability: Annotated[str, typer.Option(help="name of one; all where none is named")] = "",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 1,
) -> None:
    """Calibrate the probes on the unedited default model."""
    from editsuite.engine import DecoderStack
    from editsuite.engine.harness import EngineLM
    from editsuite.measures.capabilities.probe import FOLDER

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if capability and capability not in names():
        raise OptionError(f"--capability names {capability!r}; there are {listing(names())}")
    torch.set_num_threads(threads)
    lm = EngineLM(DecoderStack(open_model(DEFAULT_MODEL, "cpu")))
    found = [calibrate(name, lm, FOLDER) for name in ([capability] if capability else names())]
    Console().print(report(found), markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    start(main)
