"""Sentences with a sentiment: those of this project, and SST-2's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from editsuite.errors import CapabilityError
from editsuite.measures.capabilities.items import ids_of
from editsuite.measures.capabilities.rows import read_text

NAME = "sst2"
#: Where SST-2 lies in a folder of benchmarks, and the columns of its header.
FILE, HEADER = Path("sst2") / "dev.tsv", ["sentence", "label"]
#: The label words of the paper (section 7.3), in the order of SST-2's numbers.
LABELS = ("negative", "positive")


@dataclass(frozen=True)
class Sentence:
    """One sentence.

    Attributes:
        id: stays its own, whatever the order of a file.
        text: without blanks around it.
        label: number of its label word in `LABELS`.
    """

    id: str
    text: str
    label: int


@cache
def builtin() -> tuple[Sentence, ...]:
    """The sentences written for this project."""
    file = resources.files("editsuite.measures") / "data" / "sentiment.jsonl"
    items = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return tuple(Sentence(i["id"], i["text"], LABELS.index(i["label"])) for i in items)


def read_sst2(folder: Path) -> tuple[Sentence, ...]:
    """SST-2's labelled sentences, from ``sst2/dev.tsv`` as GLUE gives it out.

    Args:
        folder: the folder that holds the dataset's own.

    Raises:
        AbsentError: the file is not there.
        CapabilityError: it is damaged; the message names the line.
    """
    path = folder / FILE
    # Not splitlines(): a sentence may hold U+2028 and its like.
    first, *lines = read_text(NAME, path).replace("\r\n", "\n").split("\n")
    if first.split("\t") != HEADER:
        reason = f"is {first!r}, not the header {' and '.join(HEADER)}"
        raise _damaged(path, 1, reason)
    rows = [_row(path, i, line) for i, line in enumerate(lines, start=2) if line.strip()]
    if {label for _, label in rows} != {*range(len(LABELS))}:
        raise _damaged(path, 2, "and all lines after it have one label; both are needed")
    ids = ids_of([{"sentence": text, "label": label} for text, label in rows])
    return tuple(Sentence(one, *row) for one, row in zip(ids, rows, strict=True))


def _row(path: Path, number: int, line: str) -> tuple[str, int]:
    fields = line.split("\t")
    if len(fields) != len(HEADER):
        raise _damaged(path, number, f"has {len(fields)} columns, not {len(HEADER)}")
    text, label = fields[0].strip(), fields[1].strip()
    if not text:
        raise _damaged(path, number, "has an empty sentence")
    if label not in ("0", "1"):
        raise _damaged(path, number, f"has the label {label!r}, not 0 or 1")
    return text, int(label)


def _damaged(path: Path, number: int, reason: str) -> CapabilityError:
    return CapabilityError(NAME, f"{path}, line {number}", reason, "fetch the file again")
