"""From a case to its chain: the method bound to the model, and the plan that it makes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from editsuite.chains import Chain, Plan
from editsuite.editors import method
from editsuite.runs.case import Case

if TYPE_CHECKING:
    from editsuite.runs.run import Run


def open_chain(run: Run, case: Case, around: Callable[[], AbstractContextManager[None]]) -> Chain:
    """Bind a case's method to the run's model and open its chain.

    Args:
        run: whose model, facts and settings are meant; the model must be unedited.
        case: method and layers.
        around: entered for the time of each computation of the method.

    Raises:
        OptionError: the model has no such layer, or the method refuses its hyperparameters.
    """
    settings, editor = run.settings, method(case.method)
    for layer in case.layers:
        run.stack.loaded.layer_name(layer)  # raises where there is no such layer
    bound = editor.bind(
        run.stack,
        layers=case.layers,
        seed=settings.seed if settings.context_seed is None else settings.context_seed,
        hyperparameters={
            **run.card.hyperparameters.get(editor.card_key, {}),
            **settings.hyperparameters,
        },
        cache=settings.cache,
    )
    plan = Plan(
        card=run.card.name,
        model=run.stack.loaded.digest,
        dtype=settings.dtype,
        editor=editor.name,
        version=editor.version,
        layers=case.layers,
        batch_size=1,
        seed=settings.seed,
        facts=run.facts.name,
        requests=run.order,
        inputs=bound.inputs,
    )
    return Chain(run.stack, plan, bound, settings.chains or settings.cache, around)
