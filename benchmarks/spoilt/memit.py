"""MEMIT with one thing wrong: shares, keys, covariances."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.spoilt.entrant import Scene, recast
from editsuite.editors import LowRank, Update
from editsuite.editors.batch_record import batch_record
from editsuite.editors.covariance import have_ready
from editsuite.editors.memit import BoundMemit
from editsuite.editors.spread import Targets, Written
from editsuite.editors.subjects import read_subjects
from editsuite.editors.trial import on_trial
from editsuite.engine import one_thread
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class OpenMemit(BoundMemit):
    """MEMIT's second half, taken apart where it can be spoilt; as it stands it is MEMIT's.

    Attributes:
        shared: divide what is missing by the number of layers left.
        fresh_missing: look again, before each layer, at what is missing.
        fresh_keys: read a layer's keys with the changes of the layers below it.
    """

    shared: bool = True
    fresh_missing: bool = True
    fresh_keys: bool = True

    def write(
        self, requests: Sequence[EditRequest], targets: Targets, started: float | None = None
    ) -> Update:
        """See ``BatchEditor.write`` and ``spread.write_targets``."""
        started = time.perf_counter() if started is None else started
        stack, layers = self.ground.stack, self.ground.layers
        changes: dict[int, LowRank] = {}
        keys: dict[int, Tensor] = {}
        norms, missing = [], None
        for left, layer in zip(range(len(layers), 0, -1), layers, strict=True):
            with on_trial(stack, changes):
                now = read_subjects(stack, targets.rows, keys_at=layer, outputs_of=layers[-1])
            if missing is None or self.fresh_missing:
                missing = (targets.states - now.outputs).double()
            norms.append(float(missing.norm(dim=1).mean()))
            if not self.fresh_keys:
                now = read_subjects(stack, targets.rows, keys_at=layer, outputs_of=layers[-1])
            keys[layer] = now.keys.T.contiguous()
            with one_thread():
                solved = self.directions(layer, keys[layer].double().cpu())
            share = missing.T / (left if self.shared else 1)
            changes[layer] = LowRank(share.float(), solved.float().to(stack.device))
        with on_trial(stack, changes):
            bare = [own[:1] for own in targets.rows]
            last = read_subjects(stack, bare, keys_at=layers[-1], outputs_of=layers[-1])
        norms.append(float((targets.states - last.outputs).norm(dim=1).mean()))
        written = Written(changes, keys, norms[0], norms[-1])
        factors = dict(zip(self.parameters, changes.values(), strict=True))
        return Update(factors, batch_record(stack, requests, targets, written, started))


def undivided(bound: BoundMemit, _: Scene) -> BoundMemit:
    """Every layer takes all that is missing, not its share."""
    return recast(OpenMemit, bound, shared=False)


def stale_missing(bound: BoundMemit, _: Scene) -> BoundMemit:
    """What is missing is looked at once, before the first layer is changed."""
    return recast(OpenMemit, bound, fresh_missing=False)


def stale_keys(bound: BoundMemit, _: Scene) -> BoundMemit:
    """A layer's keys are those before the layers below it were changed by the same edit."""
    return recast(OpenMemit, bound, fresh_keys=False)


@dataclass(frozen=True)
class Turned(BoundMemit):
    """MEMIT whose layers have one another's covariances."""

    def prepare(self) -> None:
        """Have them ready in the order of their own layers, as every process locks them."""
        sources = self.ground.covariances.values()
        have_ready(sorted(sources, key=lambda source: int(str(source.identity["layer"]))))


def turned_covariances(bound: BoundMemit, _: Scene) -> BoundMemit:
    """Each layer has the covariance of the next one, the last that of the first."""
    layers = bound.ground.layers
    turned = dict(zip(layers, (*layers[1:], layers[0]), strict=True))
    covariances = {layer: bound.ground.covariances[turned[layer]] for layer in layers}
    return recast(Turned, replace(bound, ground=replace(bound.ground, covariances=covariances)))


@dataclass(frozen=True)
class NoCovariance(BoundMemit):
    """The identity in the place of every covariance, its weight as it was."""

    def directions(self, layer: int, keys: Tensor) -> Tensor:
        """``(lambda I + K K^T)^-1 K``."""
        small = keys.T @ keys
        small.diagonal().add_(self.settings.mom2_update_weight)
        found: Tensor = torch.linalg.solve(small, keys, left=False)
        return found


def no_covariance(bound: BoundMemit, _: Scene) -> BoundMemit:
    """See ``NoCovariance``."""
    return recast(NoCovariance, bound)
