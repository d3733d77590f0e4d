"""SuperGLUE AX-b: pairs of sentences, and whether the first entails the second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from editsuite.measures.capabilities.rows import Row, json_lines

NAME = "axb"
#: A label's number on the hub is its place here.
LABELS = ("entailment", "not_entailment")


def read(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Documents of ``superglue_axb/AX-b.jsonl``, in the hub's form.

    Raises:
        CapabilityError: the file is absent or damaged.
    """
    rows = json_lines(NAME, folder / "superglue_axb" / "AX-b.jsonl")
    return {"": {"test": [_document(row, row.text("idx"), _label(row)) for row in rows]}}


def numbered(row: Row) -> dict[str, Any]:
    """A document of the hub's record, whose id and label are numbers.

    Raises:
        CapabilityError: a field is missing, or the label is none of the two.
    """
    number = row.number("label")
    if number not in range(len(LABELS)):
        raise row.wrong(f"the field 'label' is {number}, not 0 or 1")
    return _document(row, str(row.number("idx")), number)


def _document(row: Row, own: str, label: int) -> dict[str, Any]:
    first, second = row.text("sentence1"), row.text("sentence2")
    return {"id": own, "sentence1": first, "sentence2": second, "label": label}


def _label(row: Row) -> int:
    return LABELS.index(row.one_of("label", LABELS))
