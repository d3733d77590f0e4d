"""AlphaEdit: MEMIT's edit, kept within the null space of other knowledge.

Fang et al. 2024 ("AlphaEdit: Null-Space Constrained Knowledge Editing", arXiv 2410.02355,
equations 10 to 14). Targets and shares are MEMIT's. With a layer's keys ``K``, what is missing
``R``, the keys ``K_p`` of all earlier edits and the projection ``P`` onto the null space of
``C = E[k k^T]``, the layer's down projection changes by

    D = R K^T P (K_p K_p^T P + K K^T P + L2 I)^-1

so that a batch neither moves what plain text asks of the layer nor what earlier edits wrote.

The earlier keys are state: each edit's keys go into the journal with its changes, whoever puts an
edit on hands them back (``remember``), taking the edits off forgets them. The reference keeps
their sum in a module's global that outlives the undoing of an edit and a change of models, and the
projection in the working directory under a name that says no model.

Other than in the reference (jianghoucheng/AlphaEdit, EasyEdit): float64 and a symmetric system
(``editsuite.editors.earlier``); this project's context prefixes; eigenvectors of ``C`` instead of
singular ones, which are the same for a covariance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from editsuite.editors.batch import BatchEditor, ground_of
from editsuite.editors.earlier import EarlierKeys
from editsuite.editors.hyperparameters import (
    SearchHyperparameters,
    bounded,
    read_hyperparameters,
)
from editsuite.editors.nullspace import NullSpace
from editsuite.editors.protocol import Update
from editsuite.editors.spread import Written
from editsuite.engine import DecoderStack


@dataclass(frozen=True)
class AlphaEditHyperparameters(SearchHyperparameters):
    """AlphaEdit's hyperparameters, named as in the reference; defaults for Llama-like models.

    Attributes:
        nullspace_threshold: eigenvalues of ``C`` under it count as none; above 0.
        L2: what holds the change small; above 0.
    """

    nullspace_threshold: float = bounded(2e-2, above=0)
    L2: float = bounded(10.0, above=0)


@dataclass(frozen=True)
class AlphaEdit:
    """The method."""

    name: str = "alphaedit"
    version: int = 1
    card_key: str = "alphaedit"
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
    ) -> BoundAlphaEdit:
        """See ``editsuite.editors.protocol.Method``."""
        settings = read_hyperparameters(AlphaEditHyperparameters, hyperparameters, method=self.name)
        ground = ground_of(stack, layers, settings, seed=seed, cache=cache, method=self.name)
        space = partial(NullSpace, threshold=settings.nullspace_threshold, cache=cache)
        spaces = {layer: space(covariance) for layer, covariance in ground.covariances.items()}
        earlier = {layer: EarlierKeys(spaces[layer]) for layer in spaces}
        return BoundAlphaEdit(ground, settings, spaces, earlier)


@dataclass(frozen=True)
class BoundAlphaEdit(BatchEditor):
    """AlphaEdit on one model: what MEMIT has, the null spaces, and the keys of earlier edits.

    Attributes:
        spaces: by layer.
        earlier: by layer, the keys of the edits that are on; see ``remember``.
    """

    settings: AlphaEditHyperparameters
    spaces: Mapping[int, NullSpace]
    earlier: Mapping[int, EarlierKeys]

    def prepare(self) -> None:
        """Compute the covariances and null spaces that are not yet kept.

        Raises:
            OptionError: a layer has no null space under the threshold.
        """
        super().prepare()
        for space in self.spaces.values():
            _ = space.basis

    def directions(self, layer: int, keys: Tensor) -> Tensor:
        """``(P (K_p K_p^T + K K^T) + L2 I)^-1 P K``."""
        return self.earlier[layer].solve(keys, self.settings.L2)

    def kept(self, written: Written) -> Mapping[str, Tensor]:
        """The keys, by layer, ``[d_ff, facts]`` float32."""
        return {_name(layer): keys for layer, keys in written.keys.items()}

    def remember(self, update: Update) -> None:
        """See ``editsuite.editors.protocol.Remembers``."""
        for layer, keys in self.earlier.items():
            keys.add(update.tensors[_name(layer)])

    def forget(self) -> None:
        """See ``editsuite.editors.protocol.Remembers``."""
        for keys in self.earlier.values():
            keys.clear()


def _name(layer: int) -> str:
    return f"keys.{layer}"
