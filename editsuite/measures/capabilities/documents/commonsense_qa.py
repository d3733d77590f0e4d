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
            split: [_document(row) for row in json_lines(NAME, folder / "commonsenseqa" / file)]
            for split, file in files.items()
        }
    }


def _document(row: Row) -> dict[str, Any]:
    question = row.row("question")
    choices = question.rows("choices")
    labels = [choice.text("label") for choice in choices]
    if tuple(labels) != LETTERS:
        raise question.wrong(f"the options are {labels}, not {list(LETTERS)}")
    return {
        "id": row.text("id"),
        "question": question.text("stem"),
        "choices": {"label": labels, "text": [choice.text("text") for choice in choices]},
        "answerKey": row.one_of("answerKey", LETTERS),
    }
