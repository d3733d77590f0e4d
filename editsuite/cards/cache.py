"""The cache folder: where it lies, and how whole things get into it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import platformdirs

#: Environment variable that moves the cache.
CACHE_VARIABLE = "EDITSUITE_CACHE"


def cache_root(override: Path | None = None) -> Path:
    """Return the cache folder: ``override``, else ``EDITSUITE_CACHE``, else the platform's own.

    The folder need not exist yet; whoever writes makes it.

    Args:
        override: The value of ``--edit-cache``; None where it was not given.

    Returns:
        An absolute path.
    """
    if override is not None:
        return Path(override).expanduser().absolute()
    from_environment = os.environ.get(CACHE_VARIABLE, "").strip()
    if from_environment:
        return Path(from_environment).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("editsuite")).absolute()


def fsync_path(path: Path) -> None:
    """Force a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
