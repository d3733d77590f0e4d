"""What is asked to see one capability: tasks, and the items chosen of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from editsuite.code import code_digest

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

#: Whose code decides what an item's answer is and whether it is right.
_DECISIVE = (
    "editsuite.measures.capabilities",
    "editsuite.sandbox",
    "editsuite.sandbox.inside",
    "editsuite.engine/harness.py",
    "editsuite.engine/ask.py",
    "editsuite.engine/tokenized.py",
)


@dataclass(frozen=True)
class Sheet:
    """Items of one task.

    Attributes:
        task: the task, its documents in a stable order.
        docs: numbers of the chosen items among the documents.
        ids: of the chosen items, names that stay theirs whatever the order of a file.
        metric: the task's metric that is the item's score, 0 to 1.
        name: of the subject or the language, where the benchmark has such.
    """

    task: ConfigurableTask
    docs: tuple[int, ...]
    ids: tuple[str, ...]
    metric: str
    name: str = ""


@dataclass(frozen=True)
class Battery:
    """All that is asked to see one capability.

    Attributes:
        capability: its name: ``knowledge``.
        source: what the items are from: ``probe``, ``mmlu.ppl``.
        sheets: the items.
        content: digest of the task files and the documents.
        temperature: at which text is drawn.
        repeats: how many times each item is asked.
        answers: the replies that are an answer at all, where one token is read; see `Benchmark`.
    """

    capability: str
    source: str
    sheets: tuple[Sheet, ...]
    content: str
    temperature: float = 0.0
    repeats: int = 1
    answers: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Digest of all that an answer depends on besides the model."""
        from importlib.metadata import version

        chosen = [[sheet.metric, *sheet.ids] for sheet in self.sheets]
        parts = [self.capability, self.source, self.content, chosen, self.temperature]
        text = json.dumps([*parts, self.repeats, version("lm_eval"), code_digest(_DECISIVE)])
        return hashlib.sha256(text.encode()).hexdigest()


def content_digest(files: Sequence[bytes], documents: Sequence[Mapping[str, Any]]) -> str:
    """Digest of task files and documents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file).digest())
    digest.update(json.dumps([dict(doc) for doc in documents], sort_keys=True).encode())
    return digest.hexdigest()
