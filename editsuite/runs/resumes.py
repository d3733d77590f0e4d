"""Kept states of the layers below an edit, for each lowest edited layer of a run."""

from __future__ import annotations

from pathlib import Path

from editsuite.cards import LoadedModel
from editsuite.engine import ResumeCache
from editsuite.runs.store import engine_code


class Resumes:
    """Caches that are opened when first asked for.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, ResumeCache] = {}

    def at(self, layer: int, loaded: LoadedModel) -> ResumeCache:
        """The states that enter a layer of the unedited model."""
        if layer not in self._open:
            identity = (loaded.digest, str(loaded.dtype), loaded.device.type, engine_code())
            self._open[layer] = ResumeCache(layer, identity, folder=self._folder)
        return self._open[layer]

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return sum(cache.held for cache in self._open.values())
