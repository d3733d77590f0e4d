"""States of one model for the benchmarks: those of a kept chain, or made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.bench import TINY
from editsuite.cards import LoadedModel
from editsuite.chains import Chain, Editing, ModelState, open_chain
from editsuite.editors import LowRank, Update, method
from editsuite.engine import DecoderStack
from editsuite.facts import load_facts

#: Numbers of edits of the five states.
COUNTS = (0, 1, 10, 20, 50)
#: Norm of a made-up edit, as a share of the norm of the matrix.
STEP = 0.01


@dataclass(frozen=True)
class States:
    """A model that can be brought into the states after so many edits.

    Attributes:
        name: where the states come from, for the record.
        identity: JSON value that tells these states from others.
        layer: the edited layer.
        go: brings the model into the state after so many edits.
    """

    name: str
    identity: object
    layer: int
    go: Callable[[int], None]


def open_states(model: str, loaded: LoadedModel, layer: int, cache: Path) -> States:
    """States of the cache's ROME chain at a layer, if it is long enough, else made-up ones.

    Args:
        model: the model as it was named.
        loaded: the model, unedited.
        layer: the edited layer.
        cache: the suite's cache.
    """
    chain = None if model == TINY else chain_of(loaded, layer, cache)
    if chain is not None and chain.sound() >= max(COUNTS):
        digests = [chain.digest(count) for count in COUNTS]
        return States(f"the kept chain rome-L{layer}", digests, layer, chain.go)
    name = f"random rank-one changes of layer {layer}'s down projection"
    return States(name, [name, STEP], layer, made_up(loaded, layer))


def chain_of(
    loaded: LoadedModel,
    layer: int,
    cache: Path,
    *,
    given: Mapping[str, object] | None = None,
    chains: Path | None = None,
) -> Chain:
    """The chain that ``pytest -m rome`` edits at a layer, as far as it is kept.

    Args:
        loaded: the model, unedited.
        layer: the edited layer.
        cache: the suite's cache.
        given: hyperparameters over the card's.
        chains: where the chain is kept; the cache where None.
    """
    facts = load_facts("builtin")
    editing = Editing(
        method("rome"), (layer,), facts.order(0), facts.name, hyperparameters=given or {}
    )
    return open_chain(DecoderStack(loaded), editing, cache, chains=chains)


def made_up(loaded: LoadedModel, layer: int) -> Callable[[int], None]:
    """A walk through states of random edits, the same in every process."""
    name = loaded.down_proj_name(layer)
    state = ModelState(loaded, [name])
    weight = state.weights()[name].original.float()
    rows, columns = weight.T.shape if loaded.family.transposed else weight.shape
    size = STEP * float(weight.norm())

    def edit(number: int) -> LowRank:
        random = torch.Generator().manual_seed(number)
        output = torch.randn(rows, 1, generator=random)
        entering = torch.randn(columns, 1, generator=random)
        return LowRank(size * output / output.norm(), entering / entering.norm())

    def go(edits: int) -> None:
        if edits < state.index:
            state.reset()
        while state.index < edits:
            state.apply(Update({name: edit(state.index)}, {}))

    return go
