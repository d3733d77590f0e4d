"""The manifest of a converted model: what was written, from what, and whether it is still whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from editsuite.cards.cache import fsync_path, write_text_atomically
from editsuite.cards.digests import file_sha256

#: Name of the manifest in the folder of a converted model.
MANIFEST: Final = "manifest.json"

_FORMAT: Final = 1


@dataclass(frozen=True)
class StoredFile:
    """One file of a converted model: its sha256 in hexadecimal and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a converted model consists of.

    Attributes:
        source: File name of the source, such as the GGUF file's.
        source_sha256: Its sha256 in hexadecimal.
        versions: Libraries that made the conversion, by name.
        files: The files written, by name.
    """

    source: str
    source_sha256: str
    versions: Mapping[str, str]
    files: Mapping[str, StoredFile]


def write_manifest(
    folder: Path, source: str, source_sha256: str, versions: Mapping[str, str]
) -> Manifest:
    """Hash every file of a folder, force it to the disk, and write the manifest last.

    Args:
        folder: The folder, complete but for the manifest.
        source: File name of what it was made from.
        source_sha256: The source's sha256.
        versions: Libraries that took part, by name.

    Returns:
        The manifest written.
    """
    files: dict[str, StoredFile] = {}
    for path in sorted(folder.iterdir()):
        fsync_path(path)
        files[path.name] = StoredFile(file_sha256(path), path.stat().st_size)
    manifest = Manifest(source, source_sha256, dict(versions), files)
    content = {"format": _FORMAT, **asdict(manifest)}
    write_text_atomically(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True) + "\n")
    fsync_path(folder)
    return manifest


def read_manifest(folder: Path) -> Manifest | None:
    """Return a folder's manifest, or None where it is absent or cannot be understood."""
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if raw["format"] != _FORMAT:
            return None
        files = {
            str(name): StoredFile(str(entry["sha256"]), int(entry["size"]))
            for name, entry in raw["files"].items()
        }
        versions = {str(name): str(version) for name, version in raw["versions"].items()}
        return Manifest(str(raw["source"]), str(raw["source_sha256"]), versions, files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def damage(folder: Path, source_sha256: str, cache: Path | None) -> str | None:
    """Say what is wrong with a converted model, or None where it is whole.

    Args:
        folder: The converted model.
        source_sha256: The sha256 that its source must have.
        cache: The cache folder, in which hashes are remembered by size and time of change;
            None to read every byte.

    Returns:
        A sentence naming the file at fault, or None.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return f"{folder / MANIFEST} is missing or unreadable"
    if manifest.source_sha256 != source_sha256:
        return f"{folder / MANIFEST} names another source than the wheel holds now"
    if not manifest.files:
        return f"{folder / MANIFEST} lists no files"
    for name, expected in manifest.files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            return f"{path} is missing"
        if path.stat().st_size != expected.size:
            return f"{path} has {path.stat().st_size} bytes instead of {expected.size}"
        if file_sha256(path, cache) != expected.sha256:
            return f"{path} does not have the content it was written with"
    return None
