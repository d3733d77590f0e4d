"""The null space of a covariance of keys: directions that other knowledge hardly uses.

Fang et al. 2024 (AlphaEdit), section 3.1: of the eigenvectors of ``C = E[k k^T]`` those whose
eigenvalues lie under a threshold span the space; ``P = U U^T`` projects onto it. A change that
reads its input through ``P`` acts on the keys of plain text by no more than the threshold allows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from editsuite.editors.covariance import CovarianceSource
from editsuite.engine import one_thread
from editsuite.errors import OptionError
from editsuite.sealed import seal, unseal_known

VERSION = 1


class NullSpace:
    """The null space of one layer's covariance: found on disk, or computed when first used.

    Args:
        covariance: of the unedited model.
        threshold: eigenvalues under it count as none.
        cache: folder of the kept statistics.
    """

    def __init__(self, covariance: CovarianceSource, threshold: float, cache: Path) -> None:
        self._covariance, self._threshold, self._cache = covariance, threshold, cache

    @property
    def identity(self) -> Mapping[str, object]:
        """What the space was computed from: model, layer, corpus and threshold among it."""
        return {
            "version": VERSION,
            "covariance": self._covariance.identity,
            "threshold": self._threshold,
        }

    @cached_property
    def basis(self) -> Tensor:
        """``U``, ``[d_ff, dimensions]`` float64 on the CPU, orthonormal to float32's precision.

        Raises:
            OptionError: no eigenvalue lies under the threshold.
        """
        told = json.dumps(self.identity, sort_keys=True)
        key = hashlib.sha256(told.encode()).hexdigest()[:32]
        folder = self._cache / "nullspace"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock"):
            kept = unseal_known(folder, key, told, what="null space")
            if kept is None:
                kept = {"basis": self._computed()}
                seal(folder, key, kept, {"identity": told})
        return kept["basis"].double()

    def _computed(self) -> Tensor:
        with one_thread():
            values, vectors = torch.linalg.eigh(self._covariance.matrix)
        inside = values < self._threshold
        if not bool(inside.any()):
            raise OptionError(
                f"layer {self._covariance.identity.get('layer')}: no eigenvalue of the covariance "
                f"lies under nullspace_threshold {self._threshold:g}, the least is "
                f"{float(values[0]):.3g}; raise the threshold"
            )
        # Rounded before it is first used: fresh or read back, the space is the same bits.
        basis: Tensor = vectors[:, inside].float()
        return basis
