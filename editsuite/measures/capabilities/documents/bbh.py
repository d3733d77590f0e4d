"""BIG-Bench Hard: 27 tasks of reasoning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from editsuite.errors import AbsentError
from editsuite.measures.capabilities.rows import json_of, rows_in

NAME = "bbh"


def read(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Documents of ``bbh/bbh/TASK.json``, by task, in the hub's form.

    Raises:
        AbsentError: there is no file.
        CapabilityError: one is damaged.
    """
    own = folder / "bbh" / "bbh"
    files = sorted(own.glob("*.json"))
    if not files:
        raise AbsentError(NAME, own, "holds no task", "put the files TASK.json there")
    return {path.stem: {"test": _documents(path)} for path in files}


def _documents(path: Path) -> list[dict[str, Any]]:
    (top,) = rows_in(NAME, str(path), [json_of(NAME, path)])
    return [
        {"input": row.text("input"), "target": row.text("target")} for row in top.rows("examples")
    ]
