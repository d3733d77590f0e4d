"""From runs to what they take; nothing is loaded, nothing is edited."""

from __future__ import annotations

from collections.abc import Sequence

from editsuite.cards import ModelCard, resolve_card
from editsuite.editors import method
from editsuite.errors import OptionError
from editsuite.planning.counter import Counter
from editsuite.planning.machine import Machine
from editsuite.planning.records import RunPlan
from editsuite.planning.shape import shape_of
from editsuite.planning.tokens import fact_tokens
from editsuite.presets import PresetRun
from editsuite.runs.case import Case
from editsuite.runs.settings import RunSettings


def cases_of(settings: RunSettings, card: ModelCard, name: str) -> list[Case]:
    """The chains of a method, whether or not a file that it needs is there.

    Raises:
        OptionError: the card names no layer for the method, or a layer is beyond the model.
    """
    known = method(name)
    layers = settings.layers or card.layers.get(known.card_key, ())
    if not layers:
        raise OptionError(f"card {card.name} names no layer for {name}; give --edit-layers")
    if max(layers) >= card.n_layers:
        raise OptionError(
            f"layer {max(layers)} is asked of {card.name}, which has layers 0 to "
            f"{card.n_layers - 1}; give others with --edit-layers"
        )
    places = [tuple(layers)] if known.spans else [(layer,) for layer in layers]
    batches = settings.batches if known.batches else (1,)
    return [Case(name, place, batch) for batch in batches for place in places]


def plan_runs(runs: Sequence[PresetRun], machine: Machine) -> RunPlan:
    """Count what some runs take together; chains and looks that they share count once.

    Args:
        runs: of one model.
        machine: to reckon the time for.

    Raises:
        OptionError: a measure whose looks cannot be reckoned, or an impossible setting.
    """
    base = runs[0].settings
    card = resolve_card(base.model)
    counter = Counter(card, shape_of(card), machine, fact_tokens(base.facts), base.dtype)
    for run in runs:
        for name in run.methods:
            for case in cases_of(run.settings, card, name):
                counter.add(run, case)
    return counter.plan()
