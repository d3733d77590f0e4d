"""Questions that a model answers in its own words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.capabilities.items import choose_items, ids_of

#: The benchmark that questions are taken from where its files are named, and its split.
BENCHMARK, SPLIT = "commonsense_qa", "validation"


@dataclass(frozen=True)
class Questions:
    """What is asked, and how.

    Attributes:
        ids: one for each question, its own whatever the order of a file.
        texts: the questions.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]

    @cached_property
    def identity(self) -> str:
        """Digest of all that is asked."""
        told = [self.asked, self.ids, self.texts]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """What the edited model reads: three answered questions, and the question.

        Without them many a model that was made for conversation ends at once.
        """
        shown = "".join(f"{prompt(q)} {answer}\n\n" for q, answer in answered())
        return tuple(shown + prompt(text) for text in self.texts)

    @cached_property
    def judged(self) -> tuple[str, ...]:
        """What the judge reads before the answer: the question alone (paper, section 7.2)."""
        return tuple(prompt(text) for text in self.texts)


def prompt(question: str) -> str:
    """A question as it is put."""
    return f"Question: {question.strip()}\nAnswer:"


def builtin_questions() -> Questions:
    """Forty questions of common sense, written for this project."""
    items = _lines("questions.jsonl")
    return Questions(tuple(item["id"] for item in items), tuple(item["question"] for item in items))


@cache
def answered() -> tuple[tuple[str, str], ...]:
    """The questions shown with their answers, written for this project."""
    return tuple((item["question"], item["answer"]) for item in _lines("answered.jsonl"))


def questions_of(choice: Choice) -> Questions:
    """The questions of a run: CommonsenseQA's, without their options, or the built-in ones.

    Args:
        choice: where the benchmarks' files are, and how many items of each are asked.

    Raises:
        AbsentError: files are named and those of CommonsenseQA are not there.
        CapabilityError: they are damaged.
    """
    source = choice.source()
    if source is None:
        return builtin_questions()
    documents = source.documents(BENCHMARK)[""][SPLIT]
    texts = {
        one: str(document["question"])
        for one, document in zip(ids_of(documents), documents, strict=True)
    }
    chosen = choose_items(list(texts), choice.items, choice.seed)
    return Questions(chosen, tuple(texts[one] for one in chosen))


def _lines(name: str) -> list[Any]:
    file = resources.files("editsuite.measures") / "data" / name
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
