"""Tokens of facts and items: measured with the default model's tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "data" / "items.json"
#: Tokens of a context prefix beside its own length: the line break and the first word.
BREAK = 2


@dataclass(frozen=True)
class FactTokens:
    """Mean tokens of a fact.

    Attributes:
        prompt: of the prompt.
        lookup: before the subject's last one.
        target: of the target.
        essence: of the row that keeps the subject's essence.
        essence_lookup: of that row, before the subject's last one.
        rephrase: of the rephrased prompt.
    """

    prompt: float
    lookup: float
    target: float
    essence: float
    essence_lookup: float
    rephrase: float


@dataclass(frozen=True)
class ItemTokens:
    """Mean tokens of an item of a probe or a benchmark.

    Attributes:
        prefix: that all items of a subset begin with.
        own: of its prompt and its options beyond that, common beginnings counted once.
        scored: whose likelihood is read.
        written: that are written at most.
        subsets: with a beginning of their own.
    """

    prefix: float
    own: float
    scored: float
    written: int
    subsets: int


@dataclass(frozen=True)
class SearchRows:
    """The rows that a value is searched on: the prompt behind each context, and the essence.

    Attributes:
        tokens: of all rows.
        earlier: of them, before the subject's last token.
        read: positions whose logits are read.
    """

    tokens: float
    earlier: float
    read: float


@cache
def _read() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def fact_tokens(facts: str) -> FactTokens:
    """Of the built-in facts; any other source is reckoned as ZsRE."""
    known = _read()["facts"]
    return FactTokens(**known["builtin" if facts == "builtin" else "zsre"])


def item_tokens(key: str) -> ItemTokens:
    """By a benchmark's key, or ``probe.CAPABILITY``; other modes of a benchmark are alike."""
    known = _read()["items"]
    if key not in known:
        name = key.partition(".")[0]
        key = next(other for other in known if other.startswith(f"{name}."))
    return ItemTokens(**known[key])


def search_rows(fact: FactTokens, contexts: int) -> SearchRows:
    """The rows of one fact with so many context prefixes, the empty one among them.

    Five prefixes are of length 5, the next five of length 10, and so on in turn
    (``editsuite.editors.contexts``).
    """
    before = sum((5, 10)[i // 5 % 2] + BREAK for i in range(contexts - 1))
    return SearchRows(
        tokens=before + contexts * (fact.prompt + fact.target - 1) + fact.essence,
        earlier=before + contexts * fact.lookup + fact.essence_lookup,
        read=contexts * fact.target + 1,
    )
