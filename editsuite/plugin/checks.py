"""Checks of the options that need the card, the facts or the machine, before any long work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from editsuite.cards import ModelCard, resolve_card
from editsuite.editors.easyedit.recipe import PREFIX
from editsuite.editors.easyedit.recipes import check_recipe, recipe_of
from editsuite.editors.easyedit.tree import find_tree
from editsuite.errors import EditsuiteError, OptionError, listing
from editsuite.facts import load_facts
from editsuite.measures.texts import load_texts
from editsuite.runs.enough import check_enough
from editsuite.runs.settings import RunSettings, judge_card


def check_settings(settings: RunSettings) -> ModelCard:
    """Check what needs the card and the facts, before any model is loaded.

    Raises:
        EditsuiteError: an unknown model or layer, facts that cannot be read or do not suffice.
    """
    try:
        card = resolve_card(settings.model)
    except EditsuiteError as error:
        raise OptionError(f"--edit-model {settings.model}: {error}") from error
    for layer in settings.layers or ():
        if layer >= card.n_layers:
            raise OptionError(
                f"--edit-layers names layer {layer}; {card.name} has layers 0 to "
                f"{card.n_layers - 1}"
            )
    order = load_facts(settings.facts).order(settings.seed)
    check_enough(max(settings.counts), len(order), settings.facts)
    judge_card(settings)
    load_texts(settings.texts)
    _check_machine(settings)
    _check_cache(settings.cache)
    return card


def check_overrides(settings: RunSettings, methods: Sequence[str]) -> None:
    """See that hyperparameters are given for methods that the run has.

    Raises:
        OptionError: one names another method, or none that there is.
    """
    owners = {name.rpartition(".")[0] for name in settings.hyperparameters} - {""}
    strange = sorted(owners - {*methods})
    if strange:
        raise OptionError(
            f"--edit-set names {listing(map(repr, strange))}; the methods of this run are "
            f"{listing(methods)}"
        )


def check_methods(names: Sequence[str]) -> None:
    """See that there is an EasyEdit with the methods that are to be EasyEdit's.

    Raises:
        OptionError: there is none, or it lacks one.
    """
    for name in names:
        if name.startswith(PREFIX):
            check_recipe(recipe_of(name.removeprefix(PREFIX)), find_tree().root)


def _check_machine(settings: RunSettings) -> None:
    """See that the device is there and can work in the dtype; the usual ones always are."""
    if settings.device in ("auto", "cpu") and settings.dtype != "float16":
        return
    from editsuite.cards.devices import resolve_device, resolve_dtype  # imports torch

    resolve_dtype(settings.dtype, resolve_device(settings.device))


def _check_cache(cache: Path) -> None:
    """See that the cache can be written to, before an hour's work is to be kept there."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"the cache folder {cache} cannot be made ({error}); choose another with --edit-cache"
        ) from error
    if not os.access(cache, os.W_OK):
        raise OptionError(
            f"the cache folder {cache} cannot be written to; choose another with --edit-cache"
        )
