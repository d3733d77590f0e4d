"""MEMIT: a batch of facts as one change of several MLPs' down projections.

The paper's section A.2 (Table 5: layers 4 to 8 of 32), after Meng et al. 2022b ("Mass-Editing
Memory in a Transformer", arXiv 2210.07229, equations 14 to 20 and algorithm 1). With the keys
``K = [k_1 ... k_n]`` of the facts at a layer and the part ``R`` of what is missing that falls to
it, the layer's down projection changes by

    D = R K^T (lambda C + K K^T)^-1

with ``C = E[k k^T]`` and the weight ``lambda`` of what the layer knew before. The change has rank
``n``; it is kept as its factors ``R`` and ``(lambda C + K K^T)^-1 K``.

Through a sequence of edits ``C`` stays that of the unedited model, although edits of the lower
layers change the keys of the higher ones: the convention of the reference and of the field.

Other than in the reference (kmeng01/memit, EasyEdit):

- The smaller of two equal systems is solved: ``(lambda C + K K^T)^-1 K`` is
  ``C^-1 K (lambda I + K^T C^-1 K)^-1``, which takes ``C``'s own factorization, made once, and a
  system of the batch's size. In float64 throughout.
- The context prefixes are this project's (``editsuite.editors.contexts``): seeded, part of the
  plan, shared with ROME; the reference draws five of ten tokens without a seed.
- A target is found for the model as it stands and never taken from a cache by the fact's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from editsuite.editors.batch import BatchEditor, ground_of
from editsuite.editors.hyperparameters import (
    SearchHyperparameters,
    bounded,
    read_hyperparameters,
)
from editsuite.engine import DecoderStack


@dataclass(frozen=True)
class MemitHyperparameters(SearchHyperparameters):
    """MEMIT's hyperparameters, named as in the reference; defaults for Llama-like models.

    Attributes:
        mom2_update_weight: ``lambda``, what the covariance weighs against the batch; above 0.
    """

    mom2_update_weight: float = bounded(15_000.0, above=0)


@dataclass(frozen=True)
class Memit:
    """The method."""

    name: str = "memit"
    version: int = 1
    card_key: str = "memit"
    spans: bool = True
    batches: bool = True

    def bind(
        self,
        stack: DecoderStack,
        *,
        layers: Sequence[int],
        seed: int,
        hyperparameters: Mapping[str, object],
        cache: Path,
    ) -> BoundMemit:
        """See ``editsuite.editors.protocol.Method``."""
        settings = read_hyperparameters(MemitHyperparameters, hyperparameters, method=self.name)
        ground = ground_of(stack, layers, settings, seed=seed, cache=cache, method=self.name)
        return BoundMemit(ground, settings)


@dataclass(frozen=True)
class BoundMemit(BatchEditor):
    """MEMIT on one model, at its layers, with its prefixes and covariances."""

    settings: MemitHyperparameters

    def directions(self, layer: int, keys: Tensor) -> Tensor:
        """``(lambda C + K K^T)^-1 K`` by the system of the batch's size."""
        solved = self.ground.covariances[layer].solve_many(keys)
        small = keys.T @ solved
        small.diagonal().add_(self.settings.mom2_update_weight)
        found: Tensor = torch.linalg.solve(small, solved, left=False)
        return found
