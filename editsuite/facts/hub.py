"""Datasets of facts from the model hub, asked for by name and only then."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from editsuite.errors import FactError
from editsuite.facts.records import read_records

_KNOWEDIT = "zjunlp/KnowEdit"
_KNOWEDIT_FILE = "benchmark/ZsRE/ZsRE-test-all.json"
_COUNTERFACT = "azhx/counterfact"


def hub_records(dataset: str) -> tuple[list[object], str]:
    """Fetch the records of `zsre` (KnowEdit's test file) or `counterfact` (nested form).

    The hub's own cache and its offline switch hold: offline, what was fetched before is found.
    Neither dataset is pinned to a revision here; the digest of the fact set tells two apart.

    Returns:
        The records, and where they came from.

    Raises:
        FactError: the client library is not installed, or the hub cannot be reached.
    """
    if dataset == "zsre":
        return _zsre()
    return _counterfact()


def _zsre() -> tuple[list[object], str]:
    client = _library("huggingface_hub", "zsre")
    try:
        path = Path(client.hf_hub_download(_KNOWEDIT, _KNOWEDIT_FILE, repo_type="dataset"))
    except (OSError, ValueError) as error:
        raise _unreachable("zsre", _KNOWEDIT, error) from error
    return read_records(path), f"{_KNOWEDIT}/{_KNOWEDIT_FILE}"


def _counterfact() -> tuple[list[object], str]:
    client = _library("datasets", "counterfact")
    try:
        rows = client.load_dataset(_COUNTERFACT, split="train")
    except (OSError, ValueError) as error:
        raise _unreachable("counterfact", _COUNTERFACT, error) from error
    return list(rows), f"{_COUNTERFACT} (train)"


def _library(name: str, dataset: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FactError(
            f"facts {dataset!r} come from the hub through the package {name}, which is not "
            f"installed; run `pip install {name}`, or give a file: {dataset}:PATH"
        ) from error


def _unreachable(dataset: str, repository: str, error: Exception) -> FactError:
    return FactError(
        f"facts {dataset!r} ({repository}) cannot be had from the hub "
        f"({type(error).__name__}); go online without HF_HUB_OFFLINE, or give a file: "
        f"{dataset}:PATH"
    )
