"""How far the fast search of a value lies from the plain one, and both from double precision.

    python -m benchmarks.study_exactness --keep FOLDER

Adam's step is nearly all sign: a coordinate whose gradient is close to zero goes one way or the
other by its last bits, so two ways to compute one gradient need not end at one value. What a fast
way owes is to be no further from the true value than the plain way is. The true value is the same
search with the model in float64. ROME's update is proportional to the value's change, so the
relative distance of two changes is that of two updates.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich import box
from rich.table import Table
from torch import Tensor

from benchmarks.bench import DEFAULT_MODEL, Model, start
from benchmarks.study_covariance import open_bench
from editsuite.cards import LoadedModel, cache_root
from editsuite.editors import method
from editsuite.editors.lookup import lookup_rows, lookup_states
from editsuite.editors.readout import plain_readout, resumed_readout
from editsuite.editors.rome import BoundRome
from editsuite.editors.value import find_value
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest, load_facts
from editsuite.runs import parse_layers


def double(loaded: LoadedModel) -> DecoderStack:
    """A copy of the model in float64, run by transformers' own layers."""
    model = copy.deepcopy(loaded.model).double()
    return DecoderStack(dataclasses.replace(loaded, model=model, dtype=torch.float64))


def change(stack: DecoderStack, bound: BoundRome, request: EditRequest, *, fast: bool) -> Tensor:
    """The value's change for one fact, ``[hidden]`` float64."""
    rows = lookup_rows(stack, request, bound.prefixes)
    states = lookup_states(stack, rows, bound.layer)
    readout = (resumed_readout if fast else plain_readout)(stack, states, bound.layer)
    return find_value(states, readout, bound.settings, name=request.id).delta.double()


def distances(
    stack: DecoderStack, truth: DecoderStack, bound: BoundRome, request: EditRequest
) -> dict[str, float]:
    """Relative distances of the three ways to search one fact's value."""
    quick = change(stack, bound, request, fast=True)
    plain = change(stack, bound, request, fast=False)
    # In double precision both ways agree to 1e-9 (tests_unit/test_editors_rome.py).
    true = change(truth, bound, request, fast=True)
    size = float(true.norm())
    return {
        "fast_plain": float((quick - plain).norm()) / size,
        "fast_true": float((quick - true).norm()) / size,
        "plain_true": float((plain - true).norm()) / size,
    }


def show(found: Mapping[str, Mapping[str, float]]) -> Table:
    """The distances as a table."""
    table = Table(box=box.SIMPLE, title="relative distance of the updates")
    for column in ("layer, prefixes, fact", "fast, plain", "fast, true", "plain, true"):
        table.add_column(column, justify="right")
    for name, held in found.items():
        table.add_row(name, *(f"{number:.1e}" for number in held.values()))
    return table


def main(
    keep: Annotated[Path, typer.Option(help="folder in which finished facts are kept")],
    model: Model = DEFAULT_MODEL,
    layers: Annotated[str, typer.Option(help="edited layers")] = "5,20",
    contexts: Annotated[int, typer.Option(min=1, help="context prefixes")] = 6,
    facts: Annotated[int, typer.Option(min=1, help="how many facts")] = 5,
    only: Annotated[str, typer.Option(help="ids of facts, instead of the first ones")] = "",
    steps: Annotated[int, typer.Option(help="v_num_grad_steps; 0: the card's")] = 0,
) -> None:
    """Compare the fast and the plain search with the search in double precision."""
    study = open_bench(model, keep)
    stack, loaded = study.stack, study.stack.loaded
    truth, found = double(loaded), dict[str, dict[str, float]]()
    order = load_facts("builtin").order(0)
    chosen = [r for r in order if r.id in only.split(",")] if only else order[:facts]
    given: dict[str, object] = {"n_contexts": contexts}
    if steps:
        given["v_num_grad_steps"] = steps
    for layer in parse_layers(layers):
        bound = method("rome_noc").bind(
            stack,
            layers=(layer,),
            seed=0,
            hyperparameters={**loaded.card.hyperparameters.get("rome", {}), **given},
            cache=cache_root(None),
        )
        if not isinstance(bound, BoundRome):
            raise TypeError("rome_noc did not bind to itself")
        for request in chosen:
            name = f"L{layer} {contexts} {request.id}" + (f" {steps} steps" if steps else "")
            found[name] = study.once(name, partial(distances, stack, truth, bound, request))
    study.console.print(show(found))


if __name__ == "__main__":
    start(main)
