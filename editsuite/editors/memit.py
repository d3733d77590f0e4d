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

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from editsuite.editors.batch import batch_record, check_layers
from editsuite.editors.contexts import context_prefixes
from editsuite.editors.covariance import CovarianceSource, have_ready
from editsuite.editors.hyperparameters import bounded, read_hyperparameters
from editsuite.editors.protocol import Update
from editsuite.editors.spread import Targets, find_targets, write_targets
from editsuite.engine import DecoderStack
from editsuite.errors import EditError, OptionError
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class MemitHyperparameters:
    """MEMIT's hyperparameters, named as in the reference; defaults for Llama-like models.

    Attributes:
        v_num_grad_steps: evaluations of the loss; one less update (as in the reference).
        v_lr: Adam's learning rate.
        v_weight_decay: weight of ``|delta| / |z_0|^2``.
        clamp_norm_factor: largest ``|delta|`` in units of ``|z_0|``.
        kl_factor: weight of the essence term.
        early_stop: loss under which the search ends (0.05 in the reference's code).
        n_contexts: context prefixes, the empty one included (6 in the reference).
        mom2_update_weight: ``lambda``, what the covariance weighs against the batch; above 0.
        mom2_corpus: the text ``C`` is computed from; see ``editsuite.editors.covariance``.
        mom2_n_tokens: tokens of that text at most.
        resume: use the fast forward pass; the slow twin gives the same update.
    """

    v_num_grad_steps: int = bounded(25, least=1)
    v_lr: float = bounded(0.5, least=0)
    v_weight_decay: float = bounded(1e-3, least=0)
    clamp_norm_factor: float = bounded(4.0, least=0)
    kl_factor: float = bounded(0.0625, least=0)
    early_stop: float = 5e-2
    n_contexts: int = bounded(6, least=1)
    mom2_update_weight: float = bounded(15_000.0, least=0)
    mom2_corpus: str = "self"
    mom2_n_tokens: int = bounded(100_000, least=2)
    resume: bool = True


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
        if settings.mom2_update_weight <= 0:
            raise OptionError(
                f"{self.name}: mom2_update_weight is {settings.mom2_update_weight:g}; it must be "
                "above 0, or nothing holds the model's other knowledge"
            )
        check_layers(stack, layers, self.name)
        covariances = {
            layer: CovarianceSource(
                stack, layer, settings.mom2_corpus, settings.mom2_n_tokens, cache
            )
            for layer in layers
        }
        prefixes = context_prefixes(stack, n=settings.n_contexts, seed=seed, cache=cache)
        return BoundMemit(stack, tuple(layers), settings, prefixes, covariances)


@dataclass(frozen=True)
class BoundMemit:
    """MEMIT on one model, at its layers, with its prefixes and covariances."""

    stack: DecoderStack
    layers: tuple[int, ...]
    settings: MemitHyperparameters
    prefixes: tuple[str, ...]
    covariances: Mapping[int, CovarianceSource]

    @property
    def inputs(self) -> Mapping[str, object]:
        """Hyperparameters, the prefixes' texts, and what each covariance was computed from."""
        settings = dataclasses.asdict(self.settings)
        del settings["resume"]  # the fast and the slow way are the same chain
        return {
            "hyperparameters": settings,
            "prefixes": list(self.prefixes),
            "covariances": [self.covariances[layer].identity for layer in self.layers],
        }

    @property
    def parameters(self) -> tuple[str, ...]:
        """One weight for each layer."""
        return tuple(self.stack.loaded.down_proj_name(layer) for layer in self.layers)

    def prepare(self) -> None:
        """Compute the covariances that are not yet kept."""
        have_ready([self.covariances[layer] for layer in self.layers])

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """Compute the update of rank ``len(requests)`` at every layer.

        Raises:
            EditError: no request, a fact that cannot be looked up, or a loss that is not finite.
        """
        started = time.perf_counter()
        targets = self.targets(requests)
        return self.write(requests, targets, started)

    def targets(self, requests: Sequence[EditRequest]) -> Targets:
        """The first half of an edit: the facts' targets, which no covariance has a part in."""
        if not requests:
            raise EditError("memit was given no fact to edit; give one or more")
        return find_targets(
            self.stack,
            requests,
            self.layers[-1],
            self.prefixes,
            self.settings,
            resume=self.settings.resume,
        )

    def write(
        self, requests: Sequence[EditRequest], targets: Targets, started: float | None = None
    ) -> Update:
        """The second half: the changes that lead to the targets, and the record."""
        started = time.perf_counter() if started is None else started
        written = write_targets(self.stack, targets, self.layers, self._directions)
        factors = dict(zip(self.parameters, written.changes.values(), strict=True))
        return Update(factors, batch_record(self.stack, requests, targets, written, started))

    def _directions(self, layer: int, keys: Tensor) -> Tensor:
        """``(lambda C + K K^T)^-1 K`` by the system of the batch's size."""
        solved = self.covariances[layer].solve_many(keys)
        small = keys.cpu().T @ solved
        small.diagonal().add_(self.settings.mom2_update_weight)
        found: Tensor = torch.linalg.solve(small, solved, left=False)
        return found
