"""MBPP: small Python programs with asserts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from editsuite.measures.capabilities.rows import Row, json_lines

NAME = "mbpp"
#: By split, the numbers of its tasks, first and last (Austin et al., 2021, section 2.1).
SPLITS = {"prompt": (1, 10), "test": (11, 510)}


def read(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Documents of ``mbpp/mbpp.jsonl``: tasks 1 to 10 to show, 11 to 510 to ask.

    Raises:
        CapabilityError: the file is absent or damaged, or lacks one of the two splits.
    """
    rows = json_lines(NAME, folder / "mbpp" / "mbpp.jsonl")
    found = [document(row) for row in rows]
    return {
        "": {
            split: [one for one in found if first <= one["task_id"] <= last]
            for split, (first, last) in SPLITS.items()
        }
    }


def document(row: Row) -> dict[str, Any]:
    """A document of a record, the hub's or the file's.

    Raises:
        CapabilityError: a field is missing.
    """
    number = row.number("task_id")
    return {
        "id": str(number),
        "task_id": number,
        "text": row.text("text"),
        # The file has the line ends of another system.
        "code": row.text("code").replace("\r\n", "\n"),
        "test_list": row.texts("test_list"),
        "test_setup_code": str(row.values.get("test_setup_code") or "").replace("\r\n", "\n"),
    }
