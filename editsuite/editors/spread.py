"""One batch of facts written into several layers, each taking its share of what is missing.

Meng et al. 2022b ("Mass-Editing Memory in a Transformer"), section 4.2 and algorithm 1: for each
fact a target ``z`` for the state leaving the last edited layer is searched; then, layer by layer
from the lowest, what is still missing there is divided by the number of layers left and written
into the layer as a change of its down projection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.editors.lookup import LookupRow, lookup_rows, lookup_states
from editsuite.editors.protocol import LowRank
from editsuite.editors.readout import plain_readout, resumed_readout
from editsuite.editors.subjects import read_subjects
from editsuite.editors.trial import on_trial
from editsuite.editors.value import FoundValue, ValueSettings, find_value
from editsuite.engine import DecoderStack, one_thread
from editsuite.facts import EditRequest

#: From a layer and the facts' keys there, ``[d_ff, facts]`` float64 on the CPU, to the directions
#: in which the change reads them, of the same shape.
Directions = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class Targets:
    """What a batch of facts is to become.

    Attributes:
        rows: of each fact, the prompt in every context.
        states: ``[facts, hidden]`` wanted states leaving the last edited layer.
        found: what the search said of each.
    """

    rows: tuple[tuple[LookupRow, ...], ...]
    states: Tensor
    found: tuple[FoundValue, ...]


@dataclass(frozen=True)
class Written:
    """The changes of a batch.

    Attributes:
        changes: by layer; of rank ``facts``.
        keys: by layer ``[d_ff, facts]`` float32. No change of a layer or of those above it moves
            the layer's keys, so these are the keys of the model with all changes, too.
        missing_before: mean norm of what was missing at the last layer before the first change.
        missing_after: the same after the last.
    """

    changes: Mapping[int, LowRank]
    keys: Mapping[int, Tensor]
    missing_before: float
    missing_after: float


def find_targets(
    stack: DecoderStack,
    requests: Sequence[EditRequest],
    layer: int,
    prefixes: Sequence[str],
    settings: ValueSettings,
    *,
    resume: bool,
) -> Targets:
    """Search each fact's target, one after another, so that memory does not grow with the batch.

    Args:
        stack: the model as it stands.
        requests: the facts.
        layer: the last edited layer.
        prefixes: context prefixes, the empty one first.
        settings: of the search.
        resume: take the fast forward pass.

    Raises:
        EditError: a fact that cannot be looked up, or a loss that is not finite; all facts are
            looked up before the first search.
    """
    way = resumed_readout if resume else plain_readout
    rows = [lookup_rows(stack, request, prefixes) for request in requests]
    found, wanted = [], []
    for request, own in zip(requests, rows, strict=True):
        states = lookup_states(stack, own, layer)
        initial = states.outputs[0]
        value = find_value(
            states, way(stack, states, layer), settings, name=request.id, initial=initial
        )
        found.append(value)
        wanted.append(initial + value.delta)
    # The last row holds the subject's essence: it has its part in the search, and no key.
    return Targets(tuple(own[:-1] for own in rows), torch.stack(wanted), tuple(found))


def write_targets(
    stack: DecoderStack, targets: Targets, layers: Sequence[int], directions: Directions
) -> Written:
    """Spread what is missing over the layers.

    Args:
        stack: the model as it stands; it is left so.
        targets: the facts' targets, searched on it.
        layers: ascending.
        directions: the method's solution at one layer.
    """
    changes: dict[int, LowRank] = {}
    keys: dict[int, Tensor] = {}
    norms = []
    for left, layer in zip(range(len(layers), 0, -1), layers, strict=True):
        with on_trial(stack, changes):
            now = read_subjects(stack, targets.rows, keys_at=layer, outputs_of=layers[-1])
        missing = (targets.states - now.outputs).double()
        norms.append(float(missing.norm(dim=1).mean()))
        keys[layer] = now.keys.T.contiguous()
        with one_thread():
            entering = directions(layer, keys[layer].double().cpu()).float().to(stack.device)
        changes[layer] = LowRank((missing.T / left).float(), entering)
    with on_trial(stack, changes):
        bare = [own[:1] for own in targets.rows]
        last = read_subjects(stack, bare, keys_at=layers[-1], outputs_of=layers[-1])
    norms.append(float((targets.states - last.outputs).norm(dim=1).mean()))
    return Written(changes, keys, norms[0], norms[-1])
