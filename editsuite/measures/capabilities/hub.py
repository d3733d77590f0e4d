"""Datasets from the model hub, at one revision each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from editsuite.errors import AbsentError, CapabilityError
from editsuite.measures.capabilities.documents import (
    Subsets,
    axb,
    commonsense_qa,
    hendrycks_math,
    mbpp,
    mmlu,
)
from editsuite.measures.capabilities.rows import Row, rows_in

#: By split, the rows of one configuration.
Splits = Mapping[str, Sequence[Row]]
_LOCALLY = "give --edit-data the folder that holds its files"
_MATH = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)


@dataclass(frozen=True)
class Pinned:
    """A dataset of the hub at one revision.

    Attributes:
        repository: its name on the hub.
        revision: the commit.
        configurations: which of its configurations, in this order; None for the only one.
        splits: which of its splits.
        subsets: makes documents of the rows of all configurations.
    """

    repository: str
    revision: str
    configurations: tuple[str | None, ...]
    splits: tuple[str, ...]
    subsets: Callable[[Splits], Subsets]


def _plain(document: Callable[[Row], dict[str, Any]]) -> Callable[[Splits], Subsets]:
    """Every row is a document, and there are no subsets."""
    return lambda splits: {"": {name: list(map(document, rows)) for name, rows in splits.items()}}


def _by_subject(splits: Splits) -> Subsets:
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for split, rows in splits.items():
        for row in rows:
            document = mmlu.numbered(row)
            own = found.setdefault(document["subject"], {name: [] for name in splits})
            own[split].append(document)
    return found


#: Datasets by name. That a revision is the dataset's own was checked against what several other
#: projects pin; what could not be checked so is not here.
PINNED: Mapping[str, Pinned] = {
    "axb": Pinned(
        "aps/super_glue",
        "3de24cf8022e94f4ee4b9d55a6f539891524d646",
        ("axb",),
        ("test",),
        _plain(axb.numbered),
    ),
    "commonsense_qa": Pinned(
        "tau/commonsense_qa",
        "94630fe30dad47192a8546eb75f094926d47e155",
        (None,),
        ("train", "validation"),
        _plain(commonsense_qa.flat),
    ),
    "math": Pinned(
        "EleutherAI/hendrycks_math",
        "21a5633873b6a120296cce3e2df9d5550074f4a3",
        _MATH,
        ("test",),
        _plain(hendrycks_math.document),
    ),
    "mbpp": Pinned(
        "google-research-datasets/mbpp",
        "4bb6404fdc6cacfda99d4ac4205087b89d32030c",
        ("full",),
        ("prompt", "test"),
        _plain(mbpp.document),
    ),
    "mmlu": Pinned(
        "cais/mmlu",
        "c30699e8356da336a370243923dbaf21066bb9fe",
        ("all",),
        ("dev", "test"),
        _by_subject,
    ),
}
#: Why the others do not come from the hub.
WITHOUT: Mapping[str, str] = {
    "bbh": "no revision of it could be checked",
    "c3": "its copy there does not tell dialogues from other texts",
    "tydiqa_goldp": "no revision of it could be checked",
}


@dataclass(frozen=True)
class Hub:
    """The model hub, through the package ``datasets``; its cache and offline switch hold."""

    def documents(self, dataset: str) -> Subsets:
        """Fetch a dataset at its pinned revision.

        Raises:
            AbsentError: the dataset is not pinned.
            CapabilityError: the hub cannot be reached, the package is absent, or a record is
                damaged.
        """
        pinned = PINNED.get(dataset)
        if pinned is None:
            reason = WITHOUT.get(dataset, "no revision of it is pinned")
            raise AbsentError(dataset, "the hub", reason, _LOCALLY)
        splits = {split: list(_rows(dataset, pinned, split)) for split in pinned.splits}
        return pinned.subsets(splits)


def _rows(dataset: str, pinned: Pinned, split: str) -> Iterator[Row]:
    for configuration in pinned.configurations:
        place = "/".join(filter(None, (pinned.repository, configuration, split)))
        try:
            load = importlib.import_module("datasets").load_dataset
            held = load(pinned.repository, configuration, split=split, revision=pinned.revision)
        except ImportError as error:
            mend = f"run `pip install datasets`, or {_LOCALLY}"
            raise CapabilityError(dataset, place, "needs the package datasets", mend) from error
        except (OSError, ValueError) as error:
            reason = f"cannot be had from the hub ({type(error).__name__})"
            mend = f"go online without HF_HUB_OFFLINE, or {_LOCALLY}"
            raise CapabilityError(dataset, place, reason, mend) from error
        yield from rows_in(dataset, place, list(held))
