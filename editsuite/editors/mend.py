"""MEND: one gradient, turned into an update by a trained network.

The paper's section A (Table 5), after Mitchell et al. 2022 ("Fast Model Editing at Scale"): all
linear maps of the last feed-forward blocks change at once, each by few rank-one parts (one for
every token that has a gradient). There is no search; what an edit does was learned beforehand
(``editsuite.training``, docs/methods/mend.md), on single edits of the unedited model. In a
sequence the network meets gradients of a model it was never trained for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from editsuite.cards import ModelCard
from editsuite.editors.change import norm_of
from editsuite.editors.gradients import (
    Prompts,
    changed,
    gradient_parts,
    logits_above,
    target_losses,
)
from editsuite.editors.hypernetwork import Hypernetwork
from editsuite.editors.hypernetwork_file import HypernetworkFile, read_hypernetwork
from editsuite.editors.hypernetwork_fit import SHIPPED, check_fit, check_layers, path_of
from editsuite.editors.hyperparameters import read_hyperparameters
from editsuite.editors.lookup import bare_rows
from editsuite.editors.protocol import LowRank, Recorded, Update
from editsuite.editors.single import names_of
from editsuite.engine import DecoderStack, one_thread, states_entering
from editsuite.errors import EditError
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class MendHyperparameters:
    """MEND's hyperparameters; all others were fixed when the network was trained.

    Attributes:
        hypernetwork: path of the trained network's file, or ``shipped`` for the one that comes
            with editsuite.
        sha256: what the file's bytes must be; the empty text for any.
        shipped_sha256: the same of the file that comes with editsuite, and of no other.
    """

    hypernetwork: str = SHIPPED
    sha256: str = ""
    shipped_sha256: str = ""


@dataclass(frozen=True)
class Mend:
    """The method."""

    name: str = "mend"
    version: int = 1
    card_key: str = "mend"
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
    ) -> BoundMend:
        """See ``editsuite.editors.protocol.Method``; nothing is drawn, so the seed is not used."""
        card = stack.loaded.card
        path, file = self._open(card, tuple(sorted(layers)), hyperparameters)
        check_fit(file, path, stack)
        return BoundMend(stack, file)

    def check(
        self, card: ModelCard, layers: Sequence[int], hyperparameters: Mapping[str, object]
    ) -> None:
        """See ``editsuite.editors.protocol.ChecksEarly``."""
        self._open(card, tuple(sorted(layers)), hyperparameters)

    def _open(
        self, card: ModelCard, layers: tuple[int, ...], hyperparameters: Mapping[str, object]
    ) -> tuple[Path, HypernetworkFile]:
        settings = read_hyperparameters(MendHyperparameters, hyperparameters, method=self.name)
        path = path_of(settings.hypernetwork, card)
        own = settings.shipped_sha256 if settings.hypernetwork == SHIPPED else ""
        file = read_hypernetwork(path, sha256=settings.sha256 or own or None)
        check_layers(file, path, layers)
        return path, file


@dataclass(frozen=True)
class BoundMend:
    """MEND on one model with its network."""

    stack: DecoderStack
    file: HypernetworkFile

    @property
    def inputs(self) -> Mapping[str, object]:
        """The network's digest: it determines all that the facts and the weights do not."""
        return {"hypernetwork": self.file.digest}

    @property
    def parameters(self) -> tuple[str, ...]:
        """All weights of the edited layers' feed-forward blocks."""
        return tuple(shape.name for shape in self.file.net.shapes)

    def prepare(self) -> None:
        """Nothing: the network was trained beforehand."""

    @cached_property
    def _net(self) -> Hypernetwork:
        return self.file.net.to(self.stack.device)

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """Compute the update for one request, or the sum of those for several.

        The order of the requests makes no difference, not even in the last bits. It runs on one
        thread: torch's own gradients have other last bits on another number, and a model that
        breaks within ten edits makes much of them.

        Raises:
            EditError: a loss or an update that is not finite, or a prompt longer than the model
                reads.
        """
        with self.stack.paced(lambda: None), one_thread(), torch.no_grad():
            return self._edit(requests)

    def _edit(self, requests: Sequence[EditRequest]) -> Update:
        started, net = time.perf_counter(), self._net
        ordered = sorted(requests, key=lambda request: request.digest)
        prompts = Prompts.of(bare_rows(self.stack, ordered), self.stack.device)
        layer = min(self.file.layers)
        hidden = states_entering(self.stack, prompts.ids, prompts.places, layer)
        before, gradients = gradient_parts(self.stack, net.shapes, prompts, hidden, layer)
        _finite(before, requests, "the loss")
        updates = net(gradients)
        for parts in updates.values():
            _finite(parts.output, requests, "the update")
            _finite(parts.input, requests, "the update")
        with changed(self.stack, net.shapes, updates):
            logits = logits_above(self.stack, hidden, prompts.places, layer, prompts.read)
        after = target_losses(logits, prompts)
        factors = {
            name: LowRank(p.output.T.contiguous(), p.input.T.contiguous())
            for name, p in updates.items()
        }
        return Update(factors, self._record(requests, before, after, factors, started))

    def _record(
        self,
        requests: Sequence[EditRequest],
        before: Tensor,
        after: Tensor,
        factors: Mapping[str, LowRank],
        started: float,
    ) -> dict[str, Recorded]:
        norms = {name: norm_of(change) for name, change in factors.items()}
        return {
            "facts": names_of(requests),
            "nll_before": float(before.mean()),
            "nll_after": float(after.mean()),
            "parts": sum(change.input.shape[1] for change in factors.values()),
            "update_norm": math.hypot(*norms.values()),
            **{f"update_norm.{name}": norm for name, norm in norms.items()},
            "seconds": time.perf_counter() - started,
        }


def _finite(values: Tensor, requests: Sequence[EditRequest], what: str) -> None:
    if not bool(torch.isfinite(values).all()):
        raise EditError(
            f"mend, fact {names_of(requests)}: {what} is not finite; the model is broken after the "
            "edits so far, or its weights overflow in this dtype: look at fewer edits, or use "
            "float32"
        )
