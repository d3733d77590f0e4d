"""Giving EasyEdit's modules what they would otherwise sample, download or compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from editsuite.editors.easyedit.loading import Modules
from editsuite.editors.easyedit.recipe import Recipe
from editsuite.errors import EditError

#: Functions that sample texts or read corpora; none may be reached.
REPLACED = ("generate_fast", "layer_stats")


@dataclass(frozen=True)
class Given:
    """What the suite gives to one edit.

    Attributes:
        model: how the model is called.
        prefixes: context prefixes, the empty one first.
        covariances: by module name, ``[d_ff, d_ff]`` float64.
        projection: AlphaEdit's, ``[layers, d_ff, d_ff]``; None to have it computed.
        remembered: what AlphaEdit summed up over earlier edits, of the same shape; None before
            the first.
    """

    model: str
    prefixes: Sequence[str]
    covariances: Mapping[str, Tensor]
    projection: Tensor | None
    remembered: Tensor | None


def prime(modules: Modules, recipe: Recipe, given: Given, model: Any, settings: Any) -> None:
    """Fill the caches of modules that were just loaded.

    Args:
        modules: the modules.
        recipe: the method.
        given: what to fill them with.
        model: the model.
        settings: EasyEdit's hyperparameters.
    """
    templates = [prefix + "{}" for prefix in given.prefixes]
    contexts: Any = templates
    if recipe.contexts == "nested":
        contexts = [part for part in (templates[:1], templates[1:]) if part]
    for module in modules.held.values():
        held = vars(module)
        for function in REPLACED:
            if function in held:
                held[function] = _Unreachable(function)
        if "CONTEXT_TEMPLATES_CACHE" in held:
            held["CONTEXT_TEMPLATES_CACHE"] = contexts
        for layer, covariance in given.covariances.items():
            if "COV_CACHE" in held:
                held["COV_CACHE"][given.model, layer] = covariance.float()
            if "inv_mom2_cache" in held:
                # As EasyEdit itself does: inverted as given, then cast.
                inverse = torch.inverse(covariance.to(settings.device)).float()
                held["inv_mom2_cache"][given.model, layer] = inverse
        if recipe.remembers and "P_loaded" in held:
            _prime_alphaedit(held, given, model, settings)


def _prime_alphaedit(held: dict[str, Any], given: Given, model: Any, settings: Any) -> None:
    """Its projections, which it would write into the working directory, and its sum."""
    projection = given.projection
    if projection is None:
        made = [held["get_project"](model, None, layer, settings) for layer in settings.layers]
        projection = torch.stack(made)
    summed = given.remembered
    held["P"], held["cache_c"] = (
        projection,
        (torch.zeros_like(projection) if summed is None else summed.clone()),
    )
    held["P_loaded"] = held["cache_c_new"] = True


class _Unreachable:
    """Stands in for a function that would sample, read from a network, or take hours."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_: object, **__: object) -> object:
        raise EditError(
            f"EasyEdit asked for {self._name}, which the bridge answers beforehand and did not "
            "here; this version keeps its contexts or covariances in another way"
        )
