"""MATH: competition problems with worked solutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from editsuite.measures.capabilities.mathematics import boxed
from editsuite.measures.capabilities.rows import Row, json_lines

NAME = "math"


def read(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Documents of ``math/test.jsonl``; what a solution has in its last box is its answer.

    Raises:
        CapabilityError: the file is absent or damaged, or a solution has no box.
    """
    path = folder / "math" / "test.jsonl"
    return {"": {"test": [document(row) for row in json_lines(NAME, path)]}}


def document(row: Row) -> dict[str, Any]:
    """A document of a record, the hub's or the file's.

    Raises:
        CapabilityError: a field is missing, or the solution has no box.
    """
    solution = row.text("solution")
    answer = boxed(solution)
    if answer is None:
        raise row.wrong("the solution has no \\boxed answer")
    return {
        "problem": row.text("problem"),
        "level": row.text("level"),
        "type": row.text("type"),
        "solution": solution,
        "answer": answer,
    }
