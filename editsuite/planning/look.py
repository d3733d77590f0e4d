"""What one look of a measure takes: tokens, written tokens, passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.capabilities.names import PREFIX
from editsuite.measures.texts import LENGTH, TextChoice
from editsuite.planning.machine import Work
from editsuite.planning.shape import Shape
from editsuite.planning.tokens import FactTokens, item_tokens
from editsuite.verdicts.columns import COLUMNS

FILE = Path(__file__).parent / "data" / "measures.yaml"
#: Items of each probe (docs/probes.md).
PROBES: Mapping[str, int] = {"code": 64, "reasoning": 95}
PROBE_ITEMS = 96
#: Columns of the paper's Table 6 with other names than the suite's benchmarks.
_COLUMN: Mapping[str, str] = {"tydiqa_goldp": "tydiqa"}
#: Tokens written beyond a target (``editsuite.measures.recall``).
BEYOND = 2
#: Rows that are written at once, on a CPU and on a GPU: the budget of a pass over a row's length.
ROWS: Mapping[bool, int] = {True: 8, False: 64}
#: Seconds of an item beside its passes: its prompt, its tokens, its score.
ITEM_BESIDE = 0.003
#: Seconds of a program in the sandbox.
PROGRAM = 0.1
#: Operations and bytes of an entry when parameters are compared, in float64.
COMPARE = 24.0
#: Measures of the edited matrices alone: how much of that each takes (docs/measures.md: 0.31 s and
#: 0.03 s of a matrix of the default model; singular values of wider ones take more).
_OF_WEIGHTS: Mapping[str, float] = {"parameters": 1.0, "matrices": 10.0}
#: Sequences that there are of WikiText (``editsuite.measures.wikitext``).
TEXT_ITEMS = 1493
PROSE = TextChoice()


@dataclass(frozen=True)
class Asked:
    """What one look asks.

    Attributes:
        items: how many.
        tokens: read, common beginnings counted once.
        scored: positions whose logits are read.
        written: tokens written, at most.
        longest: written of one item, at most.
        passes: forward 1, with the gradient of the inputs 2.
        programs: run in the sandbox.
        entries: of matrices that are compared.
    """

    items: int
    tokens: float
    scored: float
    written: float = 0.0
    longest: int = 0
    passes: int = 1
    programs: int = 0
    entries: float = 0.0


@cache
def _measures() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def planned_measures() -> frozenset[str]:
    """Measures whose looks can be reckoned, those of capabilities aside."""
    return frozenset(
        (*_measures(), *_OF_WEIGHTS, "recall.sequential", "recall.individual", "locality")
    )


def asked_of(
    measure: str,
    choice: Choice,
    facts: FactTokens,
    count: int,
    entries: float,
    texts: TextChoice = PROSE,
) -> Asked:
    """What a look of a measure asks.

    Args:
        measure: its name.
        choice: what is asked about capabilities.
        facts: mean tokens of a fact.
        count: facts that the look asks about.
        entries: of the edited matrices.
        texts: what perplexity is measured on.
    """
    if measure.startswith(PREFIX):
        return _capability(measure.removeprefix(PREFIX), choice)
    if measure in _OF_WEIGHTS:
        return Asked(0, 0.0, 0.0, entries=entries * _OF_WEIGHTS[measure])
    if measure == "perplexity" and texts.named:
        n = TEXT_ITEMS if texts.items == "all" else min(TEXT_ITEMS, texts.items)
        return Asked(n, float(n * LENGTH), float(n * (LENGTH - 1)))
    if measure in _measures():
        told = _measures()[measure]
        n = told["items"]
        longest = told["written"]
        return Asked(n, n * told["own"], n * told["scored"], n * longest, longest, told["passes"])
    # Recall asks a prompt and a rephrase, locality one prompt; the last row is what is generated.
    both = (facts.prompt, facts.rephrase) if measure.startswith("recall") else (facts.prompt,)
    tokens = count * sum(prompt + facts.target - 1 for prompt in both)
    rows, longest = count * len(both), math.ceil(facts.target + BEYOND)
    return Asked(rows, tokens, rows * facts.target, rows * longest, longest)


def asking(measure: str, choice: Choice) -> str:
    """Which items are asked how: two choices with the same words see the same looks."""
    key = _key(measure.removeprefix(PREFIX), choice)
    drawn = f" {choice.temperature:g} {choice.repeats}" if item_tokens(key).written else ""
    return f"{key} {choice.items if choice.data else ''}{drawn}"


def _key(name: str, choice: Choice) -> str:
    return f"probe.{name}" if choice.data is None else choice.benchmark(name).key


def _capability(name: str, choice: Choice) -> Asked:
    n = PROBES.get(name, PROBE_ITEMS)
    if choice.data is not None:
        n = benchmark_items(choice.benchmark(name).name)
        n = n if choice.items == "all" else min(n, choice.items)
    told = item_tokens(_key(name, choice))
    repeats = choice.repeats if told.written else 1
    # Where text is written, the prompts are read for that and for the right answers' likelihood.
    times = 2 if told.written else 1
    return Asked(
        n,
        times * (told.prefix * min(told.subsets, n) + n * told.own),
        n * told.scored,
        n * told.written * repeats,
        told.written,
        programs=n * repeats if name == "code" else 0,
    )


def benchmark_items(name: str) -> int:
    """Items of a benchmark, as the paper's Table 6 counts them."""
    return COLUMNS[_COLUMN.get(name, name)].items or 0


def look_work(asked: Asked, shape: Shape, itemsize: int, *, cpu: bool, above: int) -> list[Work]:
    """The work of a look at a state.

    Args:
        asked: what it asks.
        shape: the model's sizes.
        itemsize: bytes of a weight.
        cpu: whether it runs on a CPU.
        above: layers that are run on what is read; what enters them is kept of an earlier state.
    """
    layers = shape.layers * shape.layer
    budget = 512 if cpu else 16_384
    passes = asked.passes * max(1.0, asked.tokens / budget) if asked.tokens else 0.0
    read = asked.passes * 2.0 * (shape.layer * above * asked.tokens + shape.head * asked.scored)
    works = [
        Work(read, passes, (shape.layer * above + shape.head) * itemsize, above),
        Work(COMPARE * asked.entries, 1, COMPARE * asked.entries, 0),
    ]
    if asked.longest:
        steps = asked.longest * max(1.0, asked.written / asked.longest / ROWS[cpu])
        flops = 2.0 * (layers + shape.head) * asked.written
        works.append(Work(flops, steps, (layers + shape.head) * itemsize, shape.layers))
    return works


def beside(asked: Asked) -> float:
    """Seconds of a look that no model computes."""
    return asked.items * ITEM_BESIDE + asked.programs * PROGRAM
