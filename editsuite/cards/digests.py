"""Digests: which model this is, whatever folder it lies in and whatever dtype it is loaded in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from editsuite.cards.cache import write_text_atomically

if TYPE_CHECKING:
    import torch

#: What stands in configuration files without changing what the model computes.
_VOLATILE: Final = frozenset(
    {
        "_commit_hash",
        "_name_or_path",
        "architectures",
        "auto_map",
        "dtype",
        "is_local",
        "local_files_only",
        "name_or_path",
        "torch_dtype",
        "transformers_version",
    }
)

#: Files read as settings: hashed by content less the volatile keys.
_SETTINGS: Final = ("config.json", "tokenizer_config.json", "special_tokens_map.json")

#: Files hashed byte by byte beside the weights.
_TOKENIZER: Final = (
    "added_tokens.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
)


def file_sha256(path: Path, cache: Path | None = None) -> str:
    """Return the sha256 of a file.

    With ``cache``, the result is remembered under the file's path, size and time of change, so
    that 27 GB of weights are read once.

    Args:
        path: The file; links are followed.
        cache: The cache folder, or None to read the file in any case.

    Returns:
        64 hexadecimal digits.
    """
    real = path.resolve()
    if cache is None:
        return _hash_bytes(real)
    status = real.stat()
    identity = {"path": str(real), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    note = cache / "digests" / f"{hashlib.sha256(str(real).encode()).hexdigest()[:32]}.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if isinstance(known, dict) and {key: known.get(key) for key in identity} == identity:
        remembered = known.get("sha256")
        if isinstance(remembered, str) and len(remembered) == 64:
            return remembered
    digest = _hash_bytes(real)
    # A cache that cannot be written costs time, not correctness.
    with suppress(OSError):
        write_text_atomically(note, json.dumps({**identity, "sha256": digest}, indent=1))
    return digest


def _hash_bytes(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the weight files of a model folder: safetensors, else the older ``.bin``."""
    for pattern in ("*.safetensors", "pytorch_model*.bin"):
        found = tuple(sorted(path for path in folder.glob(pattern) if path.is_file()))
        if found:
            return found
    return ()


def folder_digest(folder: Path, cache: Path | None = None) -> str:
    """Return the digest of a model folder: weights, configuration and tokenizer.

    It does not depend on the folder's place, nor on the dtype the model is loaded in, nor on
    the version of transformers that wrote it.

    Args:
        folder: Holds ``config.json``, the weights and the tokenizer.
        cache: The cache folder, in which hashes of large files are remembered.

    Returns:
        64 hexadecimal digits.
    """
    parts: dict[str, str] = {}
    for path in weight_files(folder):
        parts[path.name] = file_sha256(path, cache)
    for name in _TOKENIZER:
        if (folder / name).is_file():
            parts[name] = file_sha256(folder / name)
    for name in _SETTINGS:
        if (folder / name).is_file():
            parts[name] = _settings_sha256(folder / name)
    return combine(parts)


def combine(parts: Mapping[str, str]) -> str:
    """Return one digest of named digests, whatever their order."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def _settings_sha256(path: Path) -> str:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return _hash_bytes(path)
    return hashlib.sha256(json.dumps(_steady(settings), sort_keys=True).encode()).hexdigest()


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(item) for key, item in value.items() if key not in _VOLATILE}
    if isinstance(value, list):
        return [_steady(item) for item in value]
    return value


def state_digest(state: Iterable[tuple[str, torch.Tensor]], extra: str = "") -> str:
    """Return the digest of tensors in memory, for models that have no files.

    Args:
        state: Names and tensors, of any shapes, on any device.
        extra: More text that tells this model from others, such as its tokenizer.

    Returns:
        64 hexadecimal digits; the order of the tensors does not matter.
    """
    import torch

    parts = {"extra": hashlib.sha256(extra.encode()).hexdigest()}
    for name, tensor in state:
        plain = tensor.detach().cpu().contiguous()
        head = f"{plain.dtype}{tuple(plain.shape)}".encode()
        body = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
        parts[f"tensor {name}"] = hashlib.sha256(head + body).hexdigest()
    return combine(parts)
