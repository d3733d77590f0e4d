"""TyDiQA, gold passages: a passage, a question, and what of the passage answers it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from editsuite.errors import AbsentError
from editsuite.measures.capabilities.rows import Row, json_of, rows_in

NAME, ENDING = "tydiqa_goldp", "_tydiqa_dev.json"


def read(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Documents of ``tydiqa_goldp/LANGUAGE_tydiqa_dev.json``, by language, in the hub's form.

    A file is in the form of SQuAD 1.1. Languages without a file are no subset.

    Raises:
        AbsentError: there is no file.
        CapabilityError: one is damaged.
    """
    own = folder / "tydiqa_goldp"
    files = sorted(own.glob(f"*{ENDING}"))
    if not files:
        mend = f"put the files LANGUAGE{ENDING} there, see docs/capabilities.md"
        raise AbsentError(NAME, own, "holds no language", mend)
    return {
        path.name.removesuffix(ENDING): {"validation": list(_documents(path))} for path in files
    }


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    (top,) = rows_in(NAME, str(path), [json_of(NAME, path)])
    for article in top.rows("data"):
        for paragraph in article.rows("paragraphs"):
            context = paragraph.text("context")
            for question in paragraph.rows("qas"):
                yield {
                    "id": question.text("id"),
                    "context": context,
                    "question": question.text("question"),
                    "answers": {"text": _answers(question)},
                }


def _answers(question: Row) -> list[str]:
    answers = [answer.text("text") for answer in question.rows("answers")]
    if not answers:
        raise question.wrong("has no answer")
    return answers
