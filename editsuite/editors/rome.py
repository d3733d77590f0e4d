"""ROME: one fact as one rank-one change of one MLP's down projection.

The paper's section A.2 and equation (2), after Meng et al. 2022 ("Locating and Editing Factual
Associations in GPT", equations 2 to 4). For a key ``k`` (the down projection's input at the
subject's last token, averaged over context prefixes) and a value ``v`` (found by gradient steps)

    W' = W + (v - W k) (C^-1 k)^T / ((C^-1 k)^T k)

is the matrix nearest to ``W`` in the norm of ``C = E[k k^T]`` that maps ``k`` to ``v``.

Kept from the reference (kmeng01/rome), because the paper used it: the averaged key gives the
direction, the bare prompt's key the denominator. So ``W' k = v`` holds for the bare prompt.
``denominator_key: averaged`` puts the averaged key in both (r-ROME, arXiv 2403.07175).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from editsuite.editors.contexts import context_prefixes
from editsuite.editors.covariance import CovarianceSource
from editsuite.editors.hyperparameters import SearchHyperparameters, read_hyperparameters
from editsuite.editors.lookup import LookupStates, lookup_rows, lookup_states
from editsuite.editors.protocol import LowRank, Recorded, Update
from editsuite.editors.readout import plain_readout, resumed_readout
from editsuite.editors.single import one_layer, one_request
from editsuite.editors.value import FoundValue, find_value
from editsuite.engine import DecoderStack
from editsuite.errors import EditError
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class RomeHyperparameters(SearchHyperparameters):
    """ROME's hyperparameters, named as in the reference; defaults for Llama-like models.

    Attributes:
        mom2_adjustment: use the covariance ``C``; without it ``C = I`` ("w/o C", paper D.1).
        denominator_key: which key closes the equation, ``bare`` (ROME) or ``averaged`` (r-ROME).
    """

    mom2_adjustment: bool = True
    denominator_key: Literal["bare", "averaged"] = "bare"


@dataclass(frozen=True)
class Rome:
    """The method and its variants; a variant is a name and some fixed hyperparameters."""

    name: str = "rome"
    variant: Mapping[str, object] = dataclasses.field(default_factory=dict)
    version: int = 4
    card_key: str = "rome"
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
    ) -> BoundRome:
        """See ``editsuite.editors.protocol.Method``."""
        settings = read_hyperparameters(
            RomeHyperparameters, {**hyperparameters, **self.variant}, method=self.name
        )
        layer = one_layer(layers, method=self.name)
        prefixes = context_prefixes(stack, n=settings.n_contexts, seed=seed, cache=cache)
        covariance = (
            CovarianceSource(stack, layer, settings.mom2_corpus, settings.mom2_n_tokens, cache)
            if settings.mom2_adjustment
            else None
        )
        return BoundRome(stack, layer, settings, prefixes, covariance)


@dataclass(frozen=True)
class BoundRome:
    """ROME on one model, at one layer, with its prefixes and covariance."""

    stack: DecoderStack
    layer: int
    settings: RomeHyperparameters
    prefixes: tuple[str, ...]
    covariance: CovarianceSource | None

    @property
    def inputs(self) -> Mapping[str, object]:
        """Hyperparameters, the prefixes' texts, and what the covariance was computed from."""
        settings = dataclasses.asdict(self.settings)
        del settings["resume"]  # the fast and the slow way are the same chain
        return {
            "hyperparameters": settings,
            "prefixes": list(self.prefixes),
            "covariance": self.covariance.identity if self.covariance else None,
        }

    @property
    def parameters(self) -> tuple[str, ...]:
        """The one weight that changes."""
        return (self.stack.loaded.down_proj_name(self.layer),)

    def prepare(self) -> None:
        """Compute the covariance, where it is used and not yet kept."""
        if self.covariance is not None:
            self.covariance.ready()

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """Compute the rank-one update for one request.

        Raises:
            EditError: more than one request, a loss that is not finite, or a key for which the
                equation has no solution.
        """
        request, started = one_request(requests, method="rome"), time.perf_counter()
        rows = lookup_rows(self.stack, request, self.prefixes)
        states = lookup_states(self.stack, rows, self.layer)
        way = resumed_readout if self.settings.resume else plain_readout
        readout = way(self.stack, states, self.layer)
        found = find_value(states, readout, self.settings, name=request.id)
        factors, denominator = self._insert(request, states, found.delta)
        return Update(
            {self.parameters[0]: factors},
            self._record(request, states, found, factors, denominator, started),
        )

    def _insert(
        self, request: EditRequest, states: LookupStates, delta: Tensor
    ) -> tuple[LowRank, float]:
        averaged, bare = states.keys[:-1].mean(dim=0), states.keys[0]
        direction = averaged if self.covariance is None else self.covariance.solve(averaged)
        direction = direction / direction.norm()
        if self.settings.denominator_key == "bare":
            closing, now = bare, states.values[0]
        else:  # the map is linear, so the mean of its outputs is its output for the mean key
            closing, now = averaged, states.values[:-1].mean(dim=0)
        denominator = float(torch.dot(closing, direction))
        if not abs(denominator) > 1e-6 * float(closing.norm()):
            raise EditError(
                f"fact {request.id}: the subject's key has no part along the update direction "
                f"(denominator {denominator:.3g}), so no finite update exists; this subject "
                "cannot be edited at this layer"
            )
        output = (states.values[0] + delta - now) / denominator
        return LowRank(output[:, None], direction[:, None]), denominator

    def _record(
        self,
        request: EditRequest,
        states: LookupStates,
        found: FoundValue,
        factors: LowRank,
        denominator: float,
        started: float,
    ) -> dict[str, Recorded]:
        weight = self.stack.loaded.model.get_parameter(self.parameters[0])
        return {
            "facts": request.id,
            "layer": self.layer,
            "loss_before": found.loss_before,
            "loss_after": found.loss_after,
            "nll_before": found.nll_before,
            "nll_after": found.nll_after,
            "steps": found.steps,
            "already_known": found.steps == 0,
            "key_norm": float(states.keys[:-1].mean(dim=0).norm()),
            "bare_key_norm": float(states.keys[0].norm()),
            "value_norm": float((states.values[0] + found.delta).norm()),
            "delta_norm": float(found.delta.norm()),
            "denominator": denominator,
            "update_norm": float(factors.output.norm() * factors.input.norm()),
            "weight_norm_before": float(weight.float().norm()),
            "seconds": time.perf_counter() - started,
        }


#: ROME as the paper runs it, without its constraint (paper D.1), and r-ROME.
VARIANTS = (
    Rome(),
    Rome("rome_noc", {"mom2_adjustment": False}),
    Rome("r_rome", {"denominator_key": "averaged"}),
)
