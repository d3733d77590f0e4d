"""Models from the hub: fetched whole and pinned, or refused with the way out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from editsuite.cards.card import ModelCard
from editsuite.cards.conversion import Progress
from editsuite.cards.digests import weight_files
from editsuite.errors import ModelLoadError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_HUB: Final = "https://huggingface.co"
_SMALL: Final = ("*.json", "*.txt", "*.jinja", "tokenizer.model")
_TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "vocab.json")
_OFFLINE: Final = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def offline_variable() -> str | None:
    """Return the environment variable that forbids the hub, or None."""
    for name in _OFFLINE:
        if os.environ.get(name, "").strip().upper() in {"1", "ON", "YES", "TRUE"}:
            return name
    return None


def read_config(source: str, revision: str | None) -> tuple[PretrainedConfig, str | None]:
    """Read a hub model's configuration.

    Args:
        source: Hub id.
        revision: Branch, tag or commit; None for the default branch.

    Returns:
        The configuration and the commit it came from.

    Raises:
        ModelLoadError: If the repository cannot be reached or has no usable configuration.
    """
    from huggingface_hub import hf_hub_download
    from transformers import AutoConfig

    try:
        path = Path(
            hf_hub_download(
                source, "config.json", revision=revision, local_files_only=_local_only()
            )
        )
    except Exception as error:
        raise explain(error, source, revision) from error
    try:
        config = AutoConfig.from_pretrained(path.parent, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelLoadError(f"model {source}: config.json cannot be used ({error})") from error
    commit = path.parent.name if path.parent.parent.name == "snapshots" else revision
    return config, commit


def fetch(card: ModelCard, progress: Progress | None = None) -> Path:
    """Return the folder of a hub model's files, downloading what is not there yet.

    A complete copy in the hub's own cache is used without asking the network.

    Args:
        card: The card; its pinned revision is fetched.
        progress: Told what happens and the share done, 0 to 1.

    Returns:
        The snapshot's folder, with weights, configuration and tokenizer.

    Raises:
        ModelLoadError: If the repository is gated, missing, without weights, or unreachable.
    """
    here = _snapshot(card, local=True, patterns=("*.safetensors", *_SMALL))
    if here is not None and is_complete(here):
        return here
    if offline_variable() is not None:
        raise _offline_error(card.source, card.revision, None)
    report = progress or (lambda _message, _share: None)
    for share, weights in ((0.0, "*.safetensors"), (0.5, "pytorch_model*")):
        report(f"fetching {card.source}", share)
        folder = _snapshot(card, local=False, patterns=(weights, *_SMALL))
        if folder is not None and is_complete(folder):
            report("ready", 1.0)
            return folder
    raise ModelLoadError(
        f"model {card.source} at revision {card.revision}: the repository holds no complete "
        "weights (safetensors or pytorch_model*.bin); choose another --edit-model"
    )


def is_complete(folder: Path) -> bool:
    """Return whether a folder holds a configuration, a tokenizer and all its weight files."""
    weights = {path.name for path in weight_files(folder)}
    kind = ".safetensors" if any(name.endswith(".safetensors") for name in weights) else ".bin"
    for index in folder.glob(f"*{kind}.index.json"):
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        if not weights.issuperset(shards):
            return False
    tokenizer = any((folder / name).is_file() for name in _TOKENIZERS)
    return bool(weights) and tokenizer and (folder / "config.json").is_file()


def _local_only() -> bool:
    return offline_variable() is not None


def _snapshot(card: ModelCard, *, local: bool, patterns: tuple[str, ...]) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            card.source,
            revision=card.revision,
            allow_patterns=list(patterns),
            ignore_patterns=["*/*"],
            local_files_only=local,
        )
    except Exception as error:
        if local:
            return None
        raise explain(error, card.source, card.revision) from error
    return Path(folder)


def explain(error: Exception, source: str, revision: str | None) -> ModelLoadError:
    """Turn an error of the hub's client into one that says what to do.

    Args:
        error: What the client raised.
        source: Hub id.
        revision: Branch, tag or commit asked for.

    Returns:
        The error to raise.
    """
    from huggingface_hub import errors

    cause: BaseException | None = error
    while cause is not None:
        status = _status(cause)
        if isinstance(cause, errors.GatedRepoError) or status == 403:
            return ModelLoadError(
                f"model {source} is gated: accept the licence at {_HUB}/{source} and set HF_TOKEN "
                "to a token of the account that accepted it"
            )
        if isinstance(cause, errors.RevisionNotFoundError):
            return ModelLoadError(
                f"model {source} has no revision {revision!r}; see {_HUB}/{source}/commits/main"
            )
        if isinstance(cause, errors.RepositoryNotFoundError | errors.HFValidationError):
            return ModelLoadError(
                f"model {source} does not exist on the hub, or is private; check the spelling, or "
                "set HF_TOKEN if it is yours"
            )
        if isinstance(cause, errors.RemoteEntryNotFoundError):
            return ModelLoadError(
                f"model {source} at {revision or 'main'} lacks a needed file ({cause}); "
                "choose a repository with config.json and weights for transformers"
            )
        if status == 401:
            return ModelLoadError(
                f"model {source}: the hub refuses access (401); accept the licence at "
                f"{_HUB}/{source} and set HF_TOKEN"
            )
        cause = cause.__cause__ or cause.__context__
    return _offline_error(source, revision, error)


def _status(error: BaseException) -> int | None:
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _offline_error(source: str, revision: str | None, error: Exception | None) -> ModelLoadError:
    variable = offline_variable()
    if variable is not None:
        why, mend = f"{variable} forbids the hub", f"unset {variable} once to fetch it"
    else:
        first = str(error).strip().splitlines()[0] if str(error or "").strip() else repr(error)
        why, mend = f"the hub cannot be reached ({first})", "go online once to fetch it"
    return ModelLoadError(
        f"model {source} at revision {revision or 'main'} is not complete on this machine and "
        f"{why}; {mend}, or give --edit-model a local folder"
    )
