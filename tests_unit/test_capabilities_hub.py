"""What the hub gives is what the files give; only pinned revisions are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from capabilities_ import WRITERS

from editsuite.errors import CapabilityError
from editsuite.measures.capabilities.documents import READERS, Subsets
from editsuite.measures.capabilities.hub import PINNED, WITHOUT, Hub
from editsuite.measures.capabilities.items import ids_of
from editsuite.measures.capabilities.sources import LocalFiles

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")

Record = Mapping[str, Any]


def records_of(dataset: str, documents: Subsets, configuration: str | None, split: str) -> Any:
    """Our documents in the hub's fields, as its pages show them."""
    found = [row for own in documents.values() for row in own[split]]
    if dataset == "axb":
        return [{**row, "idx": int(row["id"])} for row in found]
    if dataset == "math":  # a configuration for each subject, and no field for the answer
        fields = ("problem", "level", "type", "solution")
        mine = found if configuration == "prealgebra" else []
        return [{name: row[name] for name in fields} for row in mine]
    return found


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A hub that gives the same as the files; what it is asked for is noted."""
    for write_files in WRITERS.values():
        write_files(tmp_path)
    seen: list[tuple[Any, ...]] = []

    def load(path: str, name: str | None, *, split: str, revision: str) -> Sequence[Record]:
        seen.append((path, name, split, revision))
        (dataset,) = [key for key, one in PINNED.items() if one.repository == path]
        found = LocalFiles(tmp_path).documents(dataset)
        rows: Sequence[Record] = records_of(dataset, found, name, split)
        return rows

    monkeypatch.setattr(datasets, "load_dataset", load)
    return seen


@pytest.mark.parametrize("dataset", PINNED)
def test_documents_and_ids_are_those_of_the_files(
    dataset: str, asked: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    files, hub = LocalFiles(tmp_path).documents(dataset), Hub().documents(dataset)
    assert hub == files
    for name, own in files.items():
        assert {split: ids_of(rows) for split, rows in own.items()} == {
            split: ids_of(rows) for split, rows in hub[name].items()
        }
    pinned = PINNED[dataset]
    assert {revision for *_, revision in asked} == {pinned.revision}
    assert len(asked) == len(pinned.splits) * len(pinned.configurations)


def test_every_dataset_is_pinned_to_a_commit_or_says_why_not() -> None:
    assert set(PINNED) | set(WITHOUT) == set(READERS)
    assert not set(PINNED) & set(WITHOUT)
    assert all(re.fullmatch("[0-9a-f]{40}", one.revision) for one in PINNED.values())
    for dataset, reason in WITHOUT.items():
        with pytest.raises(
            CapabilityError, match=f"{dataset}: the hub: {reason}; give --edit-data"
        ):
            Hub().documents(dataset)
    with pytest.raises(CapabilityError, match="no revision of it is pinned"):
        Hub().documents("glue")


@pytest.mark.parametrize("error", [OSError("no net"), ValueError("offline"), ConnectionError()])
def test_a_hub_out_of_reach_is_told_with_a_mend(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(CapabilityError, match=r"super_glue/axb/test: cannot be had.*go online"):
        Hub().documents("axb")


SPOILT: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("axb", lambda row: row.update(label=-1), "'label' is -1, not 0 or 1"),
    ("axb", lambda row: row.pop("idx"), "'idx' is missing"),
    ("axb", lambda row: row.update(label="yes"), "'label' is str, not a whole number"),
    ("mmlu", lambda row: row.update(choices=["a", "b"]), "has 2 options and the answer 0"),
    ("mmlu", lambda row: row.update(answer=4), "the answer 4, not 4 and 0 to 3"),
    ("commonsense_qa", lambda row: row.update(choices={"label": ["A"], "text": ["a"]}), "options"),
]


@pytest.mark.parametrize(("dataset", "spoil", "message"), SPOILT)
def test_a_bad_record_is_named(
    dataset: str,
    spoil: Callable[[dict[str, Any]], object],
    message: str,
    asked: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = datasets.load_dataset

    def load(*args: Any, **options: Any) -> list[dict[str, Any]]:
        first, *others = [dict(row) for row in whole(*args, **options)]
        spoil(first)
        return [first, *others]

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(CapabilityError, match=rf"record 1: .*{message}"):
        Hub().documents(dataset)
