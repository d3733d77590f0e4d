"""What a process holds in memory, by what it is for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from torch import Tensor

from editsuite.measures.protocol import Weight


@dataclass(frozen=True)
class MemoryUse:
    """Bytes held in one process.

    Attributes:
        weights: the model's parameters, and those of a judge of its own; each counted once.
        originals: the edited matrices as they were, for taking edits off.
        factors: changes of the edited matrices, for measures of them.
        resumed: kept states of the layers below the lowest edit.
        peak: most resident memory the process ever had, with libraries, activations and all.
    """

    weights: int
    originals: int
    factors: int
    resumed: int
    peak: int

    def lines(self) -> list[str]:
        """One line for each component, for people."""
        return [f"{name:<10}{number / 2**20:>9.1f} MiB" for name, number in asdict(self).items()]


def memory_use(parameters: Iterable[Tensor], edited: Sequence[Weight], resumed: int) -> MemoryUse:
    """Add up tensors (one that is there twice counts once) and ask the system for the peak."""
    originals = [w.original for w in edited if w.original is not w.current]
    factors = [side for w in edited for pair in w.factors or () for side in pair]
    return MemoryUse(
        _bytes(parameters), _bytes(originals), _bytes(factors), resumed, peak_resident()
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors}.values())


def peak_resident() -> int:
    """Most resident memory of this process so far, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
