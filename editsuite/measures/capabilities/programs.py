"""Programs that a model writes, and who says whether they are right."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from editsuite.errors import CapabilityError

if TYPE_CHECKING:
    from datasets import Dataset

#: Numbers of the tasks that are shown as examples.
SHOWN = (2, 3, 4)
#: Scores of a document's replies, by metric.
ProcessResults = Callable[[Mapping[str, Any], Sequence[str]], dict[str, float]]
_FENCED = re.compile(r"```(?:python|py)?[^\S\n]*\n(.*?)(?:```|\Z)", re.DOTALL)


class Judge(Protocol):
    """Runs a program where it can do no harm."""

    def __call__(
        self, program: str, setup: str, tests: Sequence[str], names: frozenset[str]
    ) -> bool:
        """Whether a program passes all tests.

        Args:
            program: the code, as the model wrote it.
            setup: code that the tests need before them; often empty.
            tests: ``assert`` statements.
            names: builtins that the task asks the program to define.
        """


def shown_tasks(documents: Dataset) -> Dataset:
    """MBPP: the tasks that are shown as examples, 2 to 4 of those set apart for that.

    Source: Austin et al. (2021); the dataset's page names these three.
    """
    return documents.filter(lambda doc: doc["task_id"] in SHOWN, load_from_cache_file=False)


def program_in(reply: str) -> str:
    """The program of a reply: what its first fence holds, or all of it where it has none."""
    fenced = _FENCED.search(reply)
    return fenced[1] if fenced else reply


def scored_by(judge: Judge) -> ProcessResults:
    """What scores MBPP's items: ``passed`` is 1 where the program passes all tests."""

    def passes(doc: Mapping[str, Any], replies: Sequence[str]) -> dict[str, float]:
        setup, names = doc.get("test_setup_code", ""), named_like_builtins(doc["code"])
        passed = judge(program_in(replies[0]), setup, doc["test_list"], names)
        return {"passed": float(passed)}

    return passes


def named_like_builtins(reference: str) -> frozenset[str]:
    """The builtins whose names a task's own program takes, as where a task asks for ``sum``.

    What the model's program takes does not count: it might take ``all``.
    """
    defined = {getattr(node, "name", "") for node in ast.parse(reference).body}
    return frozenset(name for name in defined if hasattr(builtins, name))


def without_judge(doc: Mapping[str, Any], replies: Sequence[str]) -> dict[str, float]:
    """Refuse: the process that asks a model never runs what the model wrote.

    Raises:
        CapabilityError: always.
    """
    reason = f"nothing here may run the program for task {doc.get('task_id')}"
    mend = "ask through editsuite with a sandbox"
    raise CapabilityError("mbpp", "editsuite_mbpp.yaml", reason, mend)
