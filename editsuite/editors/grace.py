"""GRACE: new facts in a codebook behind one layer, and no weight changed.

The paper's section A.1 and equation (1), after Hartvigsen et al. 2022 ("Aging with GRACE:
Lifelong Model Editing with Discrete Key-Value Adaptors", arXiv 2211.11031). The codebook stands
behind the down projection of one layer (``mlp_proj`` of layer 30 of 32 in the paper's Table 5):

- the *key* is the projection's input at the prompt's last token;
- the *value* is what the projection puts out there instead, found by gradient steps on the
  negative log-likelihood of the target behind the bare prompt;
- a prompt whose last token's key lies within an entry's radius gets that entry's value; nothing
  else in the sequence is touched, and no token that is decoded asks (``replace_last``).

From EasyEdit's ``hparams/GRACE/llama-7b.yaml``: Euclidean distance, epsilon 1, 50 steps of Adam
at rate 1.0, a value that starts at random (``cold``), radii that expand to cover (``coverage``).

Where this departs from it: radii, labels and renewed answers as ``editsuite.editors.codebook``
says; the random start comes from the seed and the fact, so that no edit depends on what was drawn
before it; which token asks is told with every request."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from editsuite.editors.codebook import Codebook, Placement
from editsuite.editors.codebook_state import CodebookState, Entered, codebook_of
from editsuite.editors.hyperparameters import bounded, read_hyperparameters
from editsuite.editors.key_scale import PROMPTS, key_distance, query_row
from editsuite.editors.lookup import LookupStates, lookup_states
from editsuite.editors.protocol import Recorded, Update
from editsuite.editors.readout import plain_readout, resumed_readout
from editsuite.editors.replacement import Replacement, cold_start, find_replacement
from editsuite.editors.single import one_layer, one_request
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class GraceHyperparameters:
    """GRACE's hyperparameters, named as in the reference.

    Attributes:
        eps: radius of a new key, above 0 (the paper's threshold, Table 7).
        eps_unit: ``absolute``; or ``relative``, in units of the median distance between the keys
            of unrelated prompts (``editsuite.editors.key_scale``).
        n_iter: gradient steps of a value search.
        edit_lr: Adam's learning rate.
        early_stop: loss under which a search ends; 0 takes all steps, as the reference does.
        val_init: where a new value starts: ``cold``, uniform in 0 to 1; or ``warm``, at what the
            projection puts out.
        resume: use the fast forward pass; the slow twin gives the same value.
    """

    eps: float = bounded(1.0, above=0)
    eps_unit: Literal["absolute", "relative"] = "absolute"
    n_iter: int = bounded(50, least=1)
    edit_lr: float = bounded(1.0, least=0)
    early_stop: float = bounded(0.0, least=0)
    val_init: Literal["cold", "warm"] = "cold"
    resume: bool = True


@dataclass(frozen=True)
class Grace:
    """The method."""

    name: str = "grace"
    version: int = 1
    card_key: str = "grace"
    spans: bool = False
    batches: bool = False

    def bind(
        self,
        stack: DecoderStack,
        *,
        layers: Sequence[int],
        seed: int,
        hyperparameters: Mapping[str, object],
        cache: Path,
    ) -> BoundGrace:
        """See ``editsuite.editors.protocol.Method``.

        Raises:
            CardError: the model has no such layer.
        """
        settings = read_hyperparameters(GraceHyperparameters, hyperparameters, method=self.name)
        layer = one_layer(layers, method=self.name)
        stack.loaded.layer_name(layer)
        return BoundGrace(stack, layer, settings, seed)


@dataclass(frozen=True)
class BoundGrace:
    """GRACE on one model, at one layer; the codebook is that of the model as it stands."""

    stack: DecoderStack
    layer: int
    settings: GraceHyperparameters
    seed: int

    @property
    def inputs(self) -> Mapping[str, object]:
        """Hyperparameters, the seed of random starts, and what the unit of eps is read from."""
        settings = dataclasses.asdict(self.settings)
        del settings["resume"]  # the fast and the slow way are the same chain
        relative = self.settings.eps_unit == "relative"
        return {
            "hyperparameters": settings,
            "seed": self.seed if self.settings.val_init == "cold" else None,
            "key_distance": f"median of {PROMPTS} built-in prompts" if relative else None,
        }

    #: No weight changes.
    parameters: ClassVar[tuple[str, ...]] = ()

    def open_state(self) -> CodebookState:
        """The model without a codebook."""
        return CodebookState(self.stack, self.layer)

    @cached_property
    def eps(self) -> float:
        """Radius of a new key, in the units of the activations."""
        relative = self.settings.eps_unit == "relative"
        return self.settings.eps * (key_distance(self.stack, self.layer) if relative else 1.0)

    def prepare(self) -> None:
        """Measure the unit of eps, where it is relative."""
        _ = self.eps

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """Find one request's place in the codebook and the value that gives its target.

        The search needs no codebook: what it looks for stands in place of what a codebook would
        put there, and no other token of the prompt asks.

        Raises:
            EditError: more than one request, a prompt too long, or a loss that is not finite.
            ChainError: another method's adapter is in place.
        """
        request, started = one_request(requests, method="grace"), time.perf_counter()
        codebook = codebook_of(self.stack, self.layer)
        with self.stack.adapted(None):
            states = lookup_states(self.stack, (query_row(self.stack, request),), self.layer)
            key, label = states.keys[0].cpu(), states.rows[0].target
            placement = codebook.place(key, label, self.eps)
            way = resumed_readout if self.settings.resume else plain_readout
            readout = way(self.stack, states, self.layer)
            start = self._start(request, states, codebook, placement)
            found = find_replacement(
                states.values[0], start, readout, self.settings, name=request.id
            )
        entered = Entered(placement, key, found.value.cpu(), label)
        record = self._record(request, codebook, entered, found)
        return Update({}, {**record, "seconds": time.perf_counter() - started}, entered.tensors())

    def _start(
        self, request: EditRequest, states: LookupStates, codebook: Codebook, placed: Placement
    ) -> Tensor:
        """Where the search begins, ``[d_out]``: at the entry's value where it keeps its answer."""
        if placed.decision in ("keep", "expand"):
            return codebook.values[placed.index].to(states.values)
        if self.settings.val_init == "warm":
            return states.values[0]
        return cold_start(f"{self.seed} {request.digest}", states.values[0])

    def _record(
        self, request: EditRequest, codebook: Codebook, entered: Entered, found: Replacement
    ) -> dict[str, Recorded]:
        placement = entered.placement
        nearest = float(codebook.distances(entered.key).min()) if len(codebook) else None
        return {
            "facts": request.id,
            "layer": self.layer,
            "decision": placement.decision,
            "entry": placement.index,
            "entries": max(len(codebook), placement.index + 1),
            "eps": self.eps,
            "nearest": nearest,
            "radii_changed": len(set(placement.radii) - {placement.index}),
            "nll_before": found.nll_before,
            "nll_after": found.nll_after,
            "steps": found.steps,
            "key_norm": float(entered.key.norm()),
            "value_norm": float(found.value.norm()),
        }


#: The method as it is registered.
GRACE = Grace()
