"""Which items of a benchmark are asked: pinned by their ids and a seed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from editsuite.errors import OptionError

Wanted = int | Literal["all"]


def ids_of(documents: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """One id for each document, in their order.

    An id is the dataset's own where the document has one under ``id``, else a digest of all it
    holds. What stands there more than once has its count behind a ``+``, so that ids are unique
    and no file order tells equal documents apart.
    """
    seen: Counter[str] = Counter()
    ids = []
    for document in documents:
        own = str(document["id"]) if "id" in document else _digest(document)
        seen[own] += 1
        ids.append(own if seen[own] == 1 else f"{own}+{seen[own]}")
    return tuple(ids)


def choose_items(ids: Sequence[str], wanted: Wanted, seed: int) -> tuple[str, ...]:
    """The items to ask, in the order in which they are chosen.

    The choice depends on the ids, the number and the seed, on nothing else: not on their order,
    the machine or the state of any generator. The choice of ``n`` is the start of that of
    ``n + 1``.

    Args:
        ids: of all items; unique.
        wanted: how many, or ``"all"``. More than there are is all.
        seed: another seed is another choice.

    Raises:
        OptionError: the number is below 1, or an id stands there twice.
    """
    if len(set(ids)) != len(ids):
        twice = next(one for one, number in Counter(ids).items() if number > 1)
        raise OptionError(f"the item id {twice!r} stands there twice; give each item its own")
    ordered = sorted(ids, key=lambda one: (_rank(one, seed), one))
    return tuple(ordered if wanted == "all" else ordered[: _number(wanted)])


def spread_items(
    ids: Mapping[str, Sequence[str]], wanted: Wanted, seed: int
) -> dict[str, tuple[str, ...]]:
    """The items to ask of a benchmark with subsets, spread evenly over them.

    The subsets give one item each in turn until there are enough; one that has no more is passed
    over. Within a subset the choice is that of ``choose_items``, so it is the start of any larger
    one. A benchmark of which fewer items are wanted than it has subsets gives empty subsets.

    Args:
        ids: by subset, the ids of all its items.
        wanted: how many of the whole benchmark, or ``"all"``.
        seed: another seed is another choice, and another order of the subsets.

    Raises:
        OptionError: as for ``choose_items``.
    """
    ordered = {name: choose_items(own, "all", seed) for name, own in ids.items()}
    if wanted == "all":
        return ordered
    left, taken, turn = _number(wanted), dict.fromkeys(ordered, 0), 0
    names = sorted(ordered, key=lambda name: (_rank(name, seed), name))
    while left and any(taken[name] < len(ordered[name]) for name in names):
        name = names[turn % len(names)]
        turn += 1
        if taken[name] < len(ordered[name]):
            taken[name], left = taken[name] + 1, left - 1
    return {name: own[: taken[name]] for name, own in ordered.items()}


def _number(wanted: int | str) -> int:
    if not isinstance(wanted, int) or wanted < 1:
        raise OptionError(f"{wanted!r} items cannot be asked; give a number from 1, or all")
    return wanted


def _rank(text: str, seed: int) -> bytes:
    return hashlib.sha256(json.dumps([seed, text]).encode()).digest()


def _digest(document: Mapping[str, Any]) -> str:
    content = json.dumps(document, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
