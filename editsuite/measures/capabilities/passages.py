"""Answers to questions about a passage, held against right ones word by word."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

#: What stands before the passage, the question and the answer, in the passage's language.
_HEADINGS = {
    "arabic": ("النص", "السؤال", "الجواب"),
    "bengali": ("অনুচ্ছেদ", "প্রশ্ন", "উত্তর"),
    "english": ("Passage", "Question", "Answer"),
    "finnish": ("Teksti", "Kysymys", "Vastaus"),
    "indonesian": ("Bacaan", "Pertanyaan", "Jawaban"),
    "korean": ("지문", "질문", "답"),
    "russian": ("Текст", "Вопрос", "Ответ"),
    "swahili": ("Kifungu", "Swali", "Jibu"),
    "telugu": ("పాఠం", "ప్రశ్న", "జవాబు"),
}
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """A text in lower case without ASCII punctuation, English articles and further blanks.

    Source: the SQuAD 1.1 script, which TyDiQA's gold passages are scored with in every language:
    punctuation of other scripts stays, and so do their articles.
    """
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def overlap(reply: str, answer: str) -> float:
    """F1 of the words of a reply against those of one answer; 0 where they share none."""
    words, right = normalised(reply).split(), normalised(answer).split()
    shared = sum((Counter(words) & Counter(right)).values())
    return 2 * shared / (len(words) + len(right)) if shared else 0.0


def span(doc: Mapping[str, Any], replies: Sequence[str]) -> dict[str, float]:
    """TyDiQA: ``f1`` and ``exact_match`` with the right answer that fits best."""
    reply, answers = replies[0], doc["answers"]["text"]
    same = [normalised(reply) == normalised(answer) for answer in answers]
    return {
        "f1": max(overlap(reply, answer) for answer in answers),
        "exact_match": float(any(same)),
    }


def passage_prompt(doc: Mapping[str, Any]) -> str:
    """TyDiQA: passage and question under headings in their language, which the item's id tells."""
    passage, question, answer = _HEADINGS[str(doc["id"]).partition("-")[0]]
    return f"{passage}: {doc['context']}\n{question}: {doc['question']}\n{answer}:"


def _of_language(documents: Dataset, language: str) -> Dataset:
    """The documents of a language; the hub has all languages in one split."""
    return documents.filter(lambda doc: doc["id"].startswith(f"{language}-"))


arabic, bengali, english, finnish, indonesian, korean, russian, swahili, telugu = (
    partial(_of_language, language=language) for language in _HEADINGS
)
