"""One-shot prompts: a sentence of each label before the one that is asked about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from editsuite.errors import MeasureError
from editsuite.measures.capabilities.items import Wanted, spread_items
from editsuite.measures.saliency.sentences import LABELS, Sentence, builtin

#: The template of Wang et al. 2023 for SST-2; one blank stands before a label word.
REVIEW, SENTIMENT = "Review: {}\nSentiment:", " {}\n"
#: Sentences of this project that are asked about; the others only show how to answer.
ITEMS = 24


@dataclass(frozen=True)
class Shot:
    """One prompt.

    Attributes:
        id: of the sentence that is asked about.
        text: the prompt, up to where a blank and a label word are to follow.
        words: by demonstration, where its label word stands in the text, and its label.
        label: the right label of what is asked.
    """

    id: str
    text: str
    words: tuple[tuple[range, int], ...]
    label: int


def builtin_shots() -> tuple[Shot, ...]:
    """Prompts about sentences written for this project."""
    return one_shot(builtin(), ITEMS)


def one_shot(sentences: Sequence[Sentence], wanted: Wanted, seed: int = 0) -> tuple[Shot, ...]:
    """Prompts about chosen sentences, each after one demonstration of each label.

    The choice depends on ids and seed and on nothing else, and the choice of n is the start of
    that of n + 1 within each label. The labels get equally many sentences as long as there are
    such. A demonstration is any other sentence; which label's comes first alternates.

    Args:
        sentences: with ids of their own.
        wanted: how many to ask about, or ``"all"``.
        seed: another seed is another choice.

    Raises:
        MeasureError: a label has fewer than two sentences, so that one would answer itself.
        OptionError: no such number, or an id stands there twice.
    """
    by_label = [[s for s in sentences if s.label == label] for label in range(len(LABELS))]
    for name, own in zip(LABELS, by_label, strict=True):
        if len(own) < 2:
            raise MeasureError(
                f"one-shot sentiment needs two or more sentences that are {name}, got {len(own)}; "
                "give more sentences of that label"
            )
    groups = {str(label): [s.id for s in own] for label, own in enumerate(by_label)}
    known = {s.id: s for s in sentences}
    return tuple(
        _shot(known[chosen], by_label, seed, turn)
        for own in spread_items(groups, wanted, seed).values()
        for turn, chosen in enumerate(own)
    )


def _shot(asked: Sentence, by_label: Sequence[Sequence[Sentence]], seed: int, turn: int) -> Shot:
    shown = [
        min((s for s in own if s.id != asked.id), key=lambda s: _rank(asked, s, seed))
        for own in by_label
    ]
    text, words = "", []
    for sentence in shown if turn % 2 else shown[::-1]:
        text += REVIEW.format(sentence.text)
        word = LABELS[sentence.label]
        words.append((range(len(text) + 1, len(text) + 1 + len(word)), sentence.label))
        text += SENTIMENT.format(word)
    return Shot(asked.id, text + REVIEW.format(asked.text), tuple(words), asked.label)


def _rank(asked: Sentence, candidate: Sentence, seed: int) -> bytes:
    """Place of a candidate in an order that each asked sentence has of its own."""
    return hashlib.sha256(json.dumps([seed, asked.id, candidate.id]).encode()).digest()
