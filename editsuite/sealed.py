"""Tensors on disk whose file name carries the checksum of every byte.

A checksum inside a file cannot cover itself, and one beside it can be lost or written before
the power fails. In the name it is there exactly when the file is, and a flipped bit anywhere,
header and padding included, shows.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from editsuite.errors import ChainError
from editsuite.files import sha256_of, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
HEX = 32
_HEX_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Sealed:
    """A file's tensors and what was written beside them."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def seal(
    folder: Path, stem: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Path:
    """Write ``<stem>-<sha256, 32 hex>.safetensors`` in one step and return its path."""
    from safetensors.torch import save

    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    content = save(plain, dict(metadata))
    path = folder / f"{stem}-{hashlib.sha256(content).hexdigest()[:HEX]}{SUFFIX}"
    write_atomically(path, content)
    return path


def find_sealed(folder: Path, stem: str) -> list[Path]:
    """The sealed files of that stem, by name."""
    return sorted(folder.glob(f"{stem}-{'[0-9a-f]' * HEX}{SUFFIX}"))


def list_sealed(folder: Path) -> dict[str, list[Path]]:
    """All sealed files of a folder by stem, in one listing; those of a stem by name."""
    found: dict[str, list[Path]] = {}
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        stem, _, digest = name.removesuffix(SUFFIX).rpartition("-")
        if stem and name.endswith(SUFFIX) and len(digest) == HEX and set(digest) <= _HEX_DIGITS:
            found.setdefault(stem, []).append(folder / name)
    return found


def unseal(path: Path, *, mapped: bool = False) -> Sealed:
    """Read a sealed file.

    Args:
        path: the file.
        mapped: leave the tensors on disk, mapped into memory; every byte is read once to check it.

    Raises:
        ChainError: the file cannot be read, or the bytes are not those the name promises.
    """
    from safetensors.torch import load, load_file

    try:
        content = b"" if mapped else path.read_bytes()
        digest = sha256_of(path) if mapped else hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise ChainError(
            f"{path} cannot be read ({error}); it is made anew when it is next needed"
        ) from error
    if digest[:HEX] != path.stem[-HEX:]:
        raise ChainError(
            f"{path} is damaged: its bytes do not match the checksum in its name. It is made anew "
            "when it is next needed; `editsuite cache verify --prune` removes it now"
        )
    if mapped:
        return Sealed(load_file(path), {})
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    return Sealed(load(content), header.get("__metadata__", {}))


def unseal_known(
    folder: Path, stem: str, identity: str, *, what: str
) -> Mapping[str, Tensor] | None:
    """The tensors of a kept file that says what it is; what cannot be trusted is removed.

    Args:
        folder: where it is kept.
        stem: its name.
        identity: what the file's ``identity`` must be.
        what: what is kept, for the warning.

    Returns:
        The tensors, or None where none is kept.
    """
    for path in find_sealed(folder, stem):
        try:
            held = unseal(path)
            if held.metadata.get("identity") == identity:
                return held.tensors
            reason = f"{path} is foreign: it holds {held.metadata.get('identity')}"
        except ChainError as error:
            reason = str(error)
        warnings.warn(f"{what}: {reason}; computed anew", stacklevel=3)
        path.unlink()
    return None
