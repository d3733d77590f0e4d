"""C3: Chinese dialogues with questions and two to four options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from editsuite.errors import CapabilityError
from editsuite.measures.capabilities.rows import json_of, rows_in

NAME, OPTIONS = "c3", 4


def read(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Documents of ``c3/c3-d-dev.json``, one a question, in the hub's form.

    The file holds passages ``[sentences, questions, id]``; a question's id is the passage's with
    its number there.

    Raises:
        CapabilityError: the file is absent or damaged.
    """
    path = folder / "c3" / "c3-d-dev.json"
    found = []
    for number, passage in enumerate(_passages(path), start=1):
        here = f"{path}, passage {number}"
        (row,) = rows_in(NAME, here, [dict(zip(("context", "questions", "id"), passage))])  # noqa: B905
        context, own = row.texts("context"), row.text("id")
        for at, question in enumerate(row.rows("questions")):
            choices = question.texts("choice", least=2)
            if len(choices) > OPTIONS:
                raise question.wrong(f"has {len(choices)} options, more than {OPTIONS}")
            found.append(
                {
                    "id": f"{own}#{at}",
                    "context": context,
                    "question": question.text("question"),
                    "choice": choices,
                    "answer": question.one_of("answer", choices),
                }
            )
    return {"": {"validation": found}}


def _passages(path: Path) -> list[list[Any]]:
    passages = json_of(NAME, path)
    if not isinstance(passages, list) or not all(isinstance(one, list) for one in passages):
        reason = "holds something else than passages [sentences, questions, id]"
        raise CapabilityError(NAME, path, reason, "fetch the file again")
    return passages
