"""From a method, facts and settings to a chain: the method bound, and the plan that it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from editsuite.cards import ModelCard
from editsuite.chains.chain import Chain
from editsuite.chains.plan import Plan
from editsuite.editors.protocol import Method
from editsuite.engine import DecoderStack
from editsuite.errors import OptionError
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class Editing:
    """What is to be edited, where and how.

    Attributes:
        method: the editing method.
        layers: edited layers.
        requests: all facts, in the order of editing.
        facts: name of the fact set.
        seed: seed of fact order, which ``requests`` are in already, and of context prefixes.
        context_seed: seed of the context prefixes; ``seed`` where None.
        hyperparameters: over the card's own.
        batch_size: requests of one edit.
    """

    method: Method
    layers: Sequence[int]
    requests: tuple[EditRequest, ...]
    facts: str
    seed: int = 0
    context_seed: int | None = None
    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    batch_size: int = 1


def hyperparameters_of(
    card: ModelCard, method: Method, given: Mapping[str, object]
) -> Mapping[str, object]:
    """A method's hyperparameters: the card's, and over them those that are given."""
    return {**card.hyperparameters.get(method.card_key, {}), **given}


def open_chain(
    stack: DecoderStack,
    editing: Editing,
    cache: Path,
    *,
    chains: Path | None = None,
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Chain:
    """Bind the method to an unedited model and open its chain, as far as it is kept.

    Args:
        stack: the model, unedited.
        editing: what is to be edited.
        cache: folder of the method's statistics.
        chains: folder of the chains; ``cache`` where None.
        around: entered for the time of each computation of the method.

    Raises:
        OptionError: the model has no such layer, the method refuses its hyperparameters, or one
            edit is to hold more facts than there are.
    """
    loaded, method = stack.loaded, editing.method
    if editing.batch_size > len(editing.requests):
        raise OptionError(
            f"one edit is to hold {editing.batch_size} facts, {editing.facts} holds "
            f"{len(editing.requests)}; lower --edit-batch-size or give more facts (--edit-facts)"
        )
    for layer in editing.layers:
        loaded.layer_name(layer)  # raises where there is no such layer
    bound = method.bind(
        stack,
        layers=editing.layers,
        seed=editing.seed if editing.context_seed is None else editing.context_seed,
        hyperparameters=hyperparameters_of(loaded.card, method, editing.hyperparameters),
        cache=cache,
    )
    plan = Plan(
        card=loaded.card.name,
        model=loaded.digest,
        dtype=str(loaded.dtype).removeprefix("torch."),
        editor=method.name,
        version=method.version,
        layers=tuple(editing.layers),
        batch_size=editing.batch_size,
        seed=editing.seed,
        facts=editing.facts,
        requests=editing.requests,
        inputs=bound.inputs,
    )
    return Chain(stack, plan, bound, chains or cache, around)
