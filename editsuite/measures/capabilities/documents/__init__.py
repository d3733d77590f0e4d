"""Documents of the eight benchmarks, from the files that their authors give out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from editsuite.measures.capabilities.documents import (
    axb,
    bbh,
    c3,
    commonsense_qa,
    hendrycks_math,
    mbpp,
    mmlu,
    tydiqa,
)

#: By split, the documents; by subset (a subject, a language; "" where there is one), these.
Subsets = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]

#: By name of the dataset, what reads it from a folder that holds its own folder.
READERS: Mapping[str, Callable[[Path], Subsets]] = {
    "axb": axb.read,
    "bbh": bbh.read,
    "c3": c3.read,
    "commonsense_qa": commonsense_qa.read,
    "math": hendrycks_math.read,
    "mbpp": mbpp.read,
    "mmlu": mmlu.read,
    "tydiqa_goldp": tydiqa.read,
}
