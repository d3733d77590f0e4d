"""From the settings of a run to its cases, and from a case to what its chain edits."""

from __future__ import annotations

from editsuite.cards import ModelCard
from editsuite.chains import Editing, hyperparameters_of
from editsuite.editors import ChecksEarly, Method, method
from editsuite.errors import OptionError
from editsuite.facts import EditRequest
from editsuite.runs.case import Case
from editsuite.runs.settings import RunSettings


def cases_of(settings: RunSettings, card: ModelCard, method: Method) -> list[Case]:
    """The chains of one method: one for each batch size, and for each layer or all of them.

    Raises:
        OptionError: the card names no layer for the method and none is given, batches are asked
            of a method that edits one fact at a time, or a file that it needs is missing.
    """
    layers = settings.layers or card.layers.get(method.card_key, ())
    if not layers:
        raise OptionError(
            f"card {card.name} names no layer for {method.name}; give one with --edit-layers"
        )
    if settings.batches != (1,) and not method.batches:
        raise OptionError(
            f"{method.name} edits one fact at a time; leave --edit-batch-size at 1, or choose "
            "a method that edits in batches"
        )
    if isinstance(method, ChecksEarly):
        method.check(
            card, layers, hyperparameters_of(card, method, settings.hyperparameters_of(method.name))
        )
    places = [tuple(layers)] if method.spans else [(layer,) for layer in layers]
    return [Case(method.name, place, batch) for batch in settings.batches for place in places]


def editing_of(
    case: Case, settings: RunSettings, facts: str, order: tuple[EditRequest, ...]
) -> Editing:
    """What a case edits: its method at its layers, the facts in the run's order."""
    return Editing(
        (settings.methods or method)(case.method),
        case.layers,
        order,
        facts,
        settings.seed,
        settings.context_seed,
        settings.hyperparameters_of(case.method),
        case.batch,
    )
