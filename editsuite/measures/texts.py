"""Texts whose perplexity is measured: the built-in prose, or sequences of WikiText."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from editsuite.errors import OptionError, listing
from editsuite.measures import wikitext
from editsuite.measures.capabilities.items import Wanted, choose_items, ids_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BUILTIN, WIKITEXT = "builtin", "wikitext"
#: Tokens of a sequence of a named source. The paper does not say how long its sequences are.
LENGTH = 128


@dataclass(frozen=True)
class TextChoice:
    """Which texts a run measures.

    Attributes:
        source: ``builtin``, ``wikitext:PATH``, or ``wikitext`` (from the hub).
        items: how many sequences of a named source; the built-in prose is always read whole.
    """

    source: str = BUILTIN
    items: Wanted = 100

    @property
    def named(self) -> bool:
        """Whether another source than the built-in prose is named."""
        return self.source.strip() != BUILTIN


@dataclass(frozen=True)
class Texts:
    """Passages to score.

    Attributes:
        name: what the observations call them: ``prose``, or ``text`` for a named source.
        passages: the texts.
        length: tokens of each that are read; None for all.
    """

    name: str
    passages: tuple[str, ...]
    length: int | None = None

    @property
    def digest(self) -> str:
        """Of all that is read."""
        return hashlib.sha256(json.dumps([self.passages, self.length]).encode()).hexdigest()


@cache
def prose() -> tuple[str, ...]:
    """The passages written for this project."""
    file = resources.files("editsuite.measures") / "data" / "prose.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line)["text"] for line in lines)


def load_texts(choice: TextChoice) -> Texts:
    """The texts of a run.

    Of a named source they are the first so many of its paragraphs in the order of their digests,
    so that the choice is the same on every machine and that of 100 is a part of that of 1000.
    A source that has fewer gives all it has.

    Raises:
        OptionError: the source is unknown, or the number is none.
        MeasureError: the files or the hub's data set cannot be had, or hold no long paragraph.
    """
    name, colon, path = choice.source.strip().partition(":")
    if not choice.named:
        return Texts("prose", prose())
    if name != WIKITEXT or (colon and not path.strip()):
        known = listing((BUILTIN, WIKITEXT, f"{WIKITEXT}:PATH"))
        raise OptionError(f"--edit-texts is {choice.source!r}; give one of: {known}")
    if colon:
        found = wikitext.read(Path(path.strip()).expanduser(), LENGTH)
    else:
        found = wikitext.fetch(LENGTH)
    by_id = dict(zip(ids_of([{"text": one} for one in found]), found, strict=True))
    chosen = choose_items(list(by_id), choice.items, 0)
    return Texts("text", tuple(by_id[one] for one in chosen), LENGTH)


def plain_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Ids of a foreign text: the tokenizer's marks in front, none behind and none within.

    Some tokenizers have a mark that is written ``<unk>``, as WikiText writes its rare words; here
    a text is text, whatever it says. (Only a Unigram vocabulary, which no supported model has,
    would still find its own marks in it.)
    """
    encoded = tokenizer(
        text, return_special_tokens_mask=True, split_special_tokens=True, verbose=False
    )
    ids: Sequence[int] = encoded["input_ids"]
    marks: list[int] = list(encoded["special_tokens_mask"])
    while marks and marks[-1]:
        marks.pop()
    return tuple(ids[: len(marks)])
