"""CommonsenseQA: questions with five options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from editsuite.measures.capabilities.rows import Row, json_lines

NAME, LETTERS = "commonsense_qa", ("A", "B", "C", "D", "E")


def read(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Documents of ``commonsenseqa/{train,dev}_rand_split.jsonl``, in the hub's form.

    Raises:
        CapabilityError: a file is absent or damaged.
    """
    files = {"train": "train_rand_split.jsonl", "validation": "dev_rand_split.jsonl"}
    return {
        "": {
            split: [_nested(row) for row in json_lines(NAME, folder / "commonsenseqa" / file)]
            for split, file in files.items()
        }
    }


def flat(row: Row) -> dict[str, Any]:
    """A document of the hub's record.

    Raises:
        CapabilityError: a field is missing, or the options are not five.
    """
    choices = row.row("choices")
    options = (choices.texts("label"), choices.texts("text"))
    return _document(row, row.text("question"), *options)


def _nested(row: Row) -> dict[str, Any]:
    question = row.row("question")
    choices = question.rows("choices")
    options = ([choice.text(name) for choice in choices] for name in ("label", "text"))
    return _document(row, question.text("stem"), *options)


def _document(row: Row, question: str, labels: list[str], texts: list[str]) -> dict[str, Any]:
    if tuple(labels) != LETTERS or len(texts) != len(LETTERS):
        raise row.wrong(f"the options are {labels}, not {list(LETTERS)}")
    return {
        "id": row.text("id"),
        "question": question,
        "choices": {"label": labels, "text": texts},
        "answerKey": row.one_of("answerKey", LETTERS),
    }
