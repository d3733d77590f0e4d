"""What the layers below the lowest edit compute: the same for every state, so kept.

An edit at layer L leaves every hidden state that enters L as it was. They are computed once for
a prompt set and held in memory; past a budget they go to disk and are mapped from there.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from editsuite.errors import ChainError
from editsuite.sealed import find_sealed, seal, unseal

MEBI = 1 << 20


class ResumeCache:
    """States by key, the most recently used in memory, the others on disk.

    Args:
        layer: the layer that the states enter; every edit is at it or above.
        identity: what the lower layers are: the model's digest, its dtype, the device's kind.
        folder: where to put what memory has no room for; None drops it.
        memory: bytes to hold at most.
        disk: bytes to keep in the folder at most; the oldest files go first.
    """

    def __init__(
        self,
        layer: int,
        identity: tuple[str, ...],
        *,
        folder: Path | None = None,
        memory: int = 256 * MEBI,
        disk: int = 4096 * MEBI,
    ) -> None:
        self.layer = layer
        self.memory, self.disk = memory, disk
        self._folder, self._identity = folder, identity
        self._held: OrderedDict[str, Mapping[str, Tensor]] = OrderedDict()
        self._bytes = 0

    @property
    def held(self) -> int:
        """Bytes held in memory."""
        return self._bytes

    def states(
        self, asked: object, compute: Callable[[], Mapping[str, Tensor]]
    ) -> Mapping[str, Tensor]:
        """What the lower layers give for some tokens, computed unless it is kept.

        Args:
            asked: the tokens and their layout, as JSON values: with the layer and the identity
                all that the states depend on.
            compute: gives the states.
        """
        key = self._key(asked)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        kept = self._read(key)
        return self._hold(key, compute() if kept is None else kept, on_disk=kept is not None)

    def _key(self, asked: object) -> str:
        text = json.dumps([self.layer, *self._identity, asked], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    def _hold(
        self, key: str, states: Mapping[str, Tensor], *, on_disk: bool
    ) -> Mapping[str, Tensor]:
        size = _size(states)
        if size > self.memory:
            if not on_disk:
                self._write(key, states)
            return states
        self._held[key] = states
        self._bytes += size
        while self._bytes > self.memory:
            old, dropped = self._held.popitem(last=False)
            self._bytes -= _size(dropped)
            self._write(old, dropped)
        return states

    def _read(self, key: str) -> Mapping[str, Tensor] | None:
        if self._folder is None:
            return None
        for path in find_sealed(self._folder, key):
            try:
                return unseal(path, mapped=True).tensors
            except ChainError:  # damaged: computed anew, and never trusted
                path.unlink(missing_ok=True)
        return None

    def _write(self, key: str, states: Mapping[str, Tensor]) -> None:
        if self._folder is None or find_sealed(self._folder, key):
            return
        try:
            seal(self._folder, key, states, {})
        except OSError:
            # A full or read-only disk costs time, not the answer.
            self._folder = None
            return
        files = sorted(self._folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        room = self.disk - sum(path.stat().st_size for path in files)
        for path in files[:-1]:
            if room >= 0:
                break
            room += path.stat().st_size
            path.unlink(missing_ok=True)


def _size(states: Mapping[str, Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in states.values())


def same_device(states: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The states where the model is; those read from disk lie on the CPU."""
    return {name: t.to(device) for name, t in states.items()}
