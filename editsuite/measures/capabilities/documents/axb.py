"""SuperGLUE AX-b: pairs of sentences, and whether the first entails the second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from editsuite.measures.capabilities.rows import json_lines

NAME = "axb"
#: A label's number on the hub is its place here.
LABELS = ("entailment", "not_entailment")


def read(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Documents of ``superglue_axb/AX-b.jsonl``, in the hub's form.

    Raises:
        CapabilityError: the file is absent or damaged.
    """
    found = [
        {
            "id": row.text("idx"),
            "sentence1": row.text("sentence1"),
            "sentence2": row.text("sentence2"),
            "label": LABELS.index(row.one_of("label", LABELS)),
        }
        for row in json_lines(NAME, folder / "superglue_axb" / "AX-b.jsonl")
    ]
    return {"": {"test": found}}
