"""What the methods that write batches of facts into several layers have in common.

They differ in one thing, the directions in which a layer's change reads its input.
"""

from __future__ import annotations

import dataclasses
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from torch import Tensor

from editsuite.editors.batch_record import batch_record
from editsuite.editors.contexts import context_prefixes
from editsuite.editors.covariance import CovarianceSource, have_ready
from editsuite.editors.hyperparameters import SearchHyperparameters
from editsuite.editors.protocol import Update
from editsuite.editors.spread import Targets, Written, find_targets, write_targets
from editsuite.engine import DecoderStack
from editsuite.errors import EditError, OptionError
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class Ground:
    """A model with the layers to edit and what was read off it.

    Attributes:
        stack: the model.
        layers: edited layers, ascending.
        prefixes: context prefixes, the empty one first.
        covariances: by layer, of the unedited model.
    """

    stack: DecoderStack
    layers: tuple[int, ...]
    prefixes: tuple[str, ...]
    covariances: Mapping[int, CovarianceSource]

    @property
    def inputs(self) -> Mapping[str, object]:
        """The prefixes' texts, and what each covariance was computed from."""
        return {
            "prefixes": list(self.prefixes),
            "covariances": [self.covariances[layer].identity for layer in self.layers],
        }


def ground_of(
    stack: DecoderStack,
    layers: Sequence[int],
    settings: SearchHyperparameters,
    *,
    seed: int,
    cache: Path,
    method: str,
) -> Ground:
    """Check the layers and name what the edits stand on; only the prefixes are made by now.

    Raises:
        OptionError: no layer, one twice, or not ascending.
        CardError: the model has no such layer.
    """
    if not layers or any(a >= b for a, b in pairwise(layers)):
        raise OptionError(
            f"{method} edits layers from the lowest to the highest, each once; {list(layers)} were "
            "given. Name them ascending, such as --edit-layers 4,5,6,7"
        )
    for layer in layers:
        stack.loaded.layer_name(layer)
    corpus, n_tokens = settings.mom2_corpus, settings.mom2_n_tokens
    return Ground(
        stack,
        tuple(layers),
        context_prefixes(stack, n=settings.n_contexts, seed=seed, cache=cache),
        {layer: CovarianceSource(stack, layer, corpus, n_tokens, cache) for layer in layers},
    )


@dataclass(frozen=True)
class BatchEditor:
    """A method bound to a model; see ``editsuite.editors.protocol.BoundEditor``.

    Attributes:
        ground: model, layers and statistics.
        settings: hyperparameters.
    """

    ground: Ground
    settings: SearchHyperparameters

    @property
    def parameters(self) -> tuple[str, ...]:
        """One weight for each layer."""
        return tuple(self.ground.stack.loaded.down_proj_name(layer) for layer in self.ground.layers)

    @property
    def inputs(self) -> Mapping[str, object]:
        """Hyperparameters, the prefixes' texts, and what each covariance was computed from."""
        settings = dataclasses.asdict(self.settings)
        del settings["resume"]  # the fast and the slow way are the same chain
        return {"hyperparameters": settings, **self.ground.inputs}

    def prepare(self) -> None:
        """Compute the covariances that are not yet kept."""
        have_ready([self.ground.covariances[layer] for layer in self.ground.layers])

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """Compute the update of rank ``len(requests)`` at every layer.

        Raises:
            EditError: no request, a fact that cannot be looked up, or a loss that is not finite.
        """
        started = time.perf_counter()
        return self.write(requests, self.targets(requests), started)

    def targets(self, requests: Sequence[EditRequest]) -> Targets:
        """The first half of an edit: the facts' targets, in which no statistics have a part.

        Raises:
            EditError: see ``edit``.
        """
        if not requests:
            raise EditError("there is no fact to edit; give one or more")
        ground, settings = self.ground, self.settings
        return find_targets(
            ground.stack,
            requests,
            ground.layers[-1],
            ground.prefixes,
            settings,
            resume=settings.resume,
        )

    def write(
        self, requests: Sequence[EditRequest], targets: Targets, started: float | None = None
    ) -> Update:
        """The second half: the changes that lead to the targets, and the record."""
        started = time.perf_counter() if started is None else started
        ground = self.ground
        written = write_targets(ground.stack, targets, ground.layers, self.directions)
        factors = dict(zip(self.parameters, written.changes.values(), strict=True))
        told = batch_record(ground.stack, requests, targets, written, started)
        return Update(factors, told, self.kept(written))

    @abstractmethod
    def directions(self, layer: int, keys: Tensor) -> Tensor:
        """In which directions the layer's change reads its input.

        Args:
            layer: the layer.
            keys: ``[d_ff, facts]`` float64 on the CPU.

        Returns:
            The same shape; the change is what each fact lacks times these.
        """

    def kept(self, written: Written) -> Mapping[str, Tensor]:
        """What the next edit needs of this one beside the weights."""
        return {}
