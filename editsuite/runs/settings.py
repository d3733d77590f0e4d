"""What a run is asked to do, checked before anything starts."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from editsuite.cards import ModelCard, resolve_card
from editsuite.errors import EditsuiteError, OptionError, listing
from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.texts import TextChoice

if TYPE_CHECKING:
    from editsuite.editors import Method

#: Numbers of edits after which the model is observed. A smaller tier is part of the next.
TIERS: Mapping[str, tuple[int, ...]] = {
    "smoke": (1, 10),
    "standard": (1, 10, 20, 50, 100),
    "paper": (1, 10, 14, 20, 30, 50, 75, 100, 200, 500, 1000),
}
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class RunSettings:
    """What to edit, how, and where things are kept.

    Attributes:
        model: card name, hub id or folder.
        facts: a fact source (``builtin``, ``zsre:PATH``, ...).
        counts: numbers of edits to observe at.
        layers: layers to edit, one chain each; None for the card's own.
        seed: seed of fact order and context prefixes.
        device: ``auto``, ``cpu``, ``cuda``, ...
        dtype: dtype of the model's weights.
        cache: the suite's cache folder.
        hyperparameters: overrides, by ``METHOD.NAME``, or by ``NAME`` for every method of the run.
        space: see ``LookStore``.
        context_seed: seed of the context prefixes; the plan's seed where None.
        token_budget: rows times width of a forward pass of the measures.
        chains: folder of the chains, where it is not the cache.
        own_ways: by the engine's own products and written-out layers (``engine.Ways``); off, by
            torch's and transformers', which have other last bits.
        batches: facts of one edit; one chain for each size, with methods that edit in batches.
        capabilities: what is asked about them.
        methods: a method by its name; the registry where None.
        texts: what perplexity is measured on.
        judge: card name, hub id or folder of the model that reads answers; empty for the model
            itself, unedited.
    """

    model: str
    facts: str
    counts: tuple[int, ...]
    layers: tuple[int, ...] | None
    seed: int
    device: str
    dtype: str
    cache: Path
    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    space: str = ""
    context_seed: int | None = None
    token_budget: int | None = None
    chains: Path | None = None
    own_ways: bool = True
    batches: tuple[int, ...] = (1,)
    capabilities: Choice = field(default_factory=Choice)
    methods: Callable[[str], Method] | None = None
    texts: TextChoice = field(default_factory=TextChoice)
    judge: str = ""

    @property
    def usual(self) -> bool:
        """Whether facts, seed and dtype are those that baselines are committed for."""
        return (self.facts, self.seed, self.dtype) == ("builtin", 0, "float32")

    def hyperparameters_of(self, method: str) -> dict[str, object]:
        """The overrides of one method, by bare name; what names the method goes first."""
        named = {tuple(n.rpartition(".")[::2]): value for n, value in self.hyperparameters.items()}
        return {
            name: value
            for wanted in ("", method)
            for (owner, name), value in named.items()
            if owner == wanted
        }


def parse_overrides(text: str) -> dict[str, object]:
    """Read ``grace.eps=5 v_lr=0.1``: hyperparameters by name, values as YAML writes them.

    Raises:
        OptionError: a word without a name and a value.
    """
    try:
        words = [word.partition("=") for word in shlex.split(text)]
        if all(name and value for name, _, value in words):
            return {name: yaml.safe_load(value) for name, _, value in words}
    except (ValueError, yaml.YAMLError):
        pass
    raise OptionError(
        f"--edit-set is {text!r}; give hyperparameters such as grace.eps=5 v_lr=0.1, separated by "
        "blanks"
    )


def parse_counts(text: str) -> tuple[int, ...]:
    """Read ``1,10,20``: positive whole numbers; the result is sorted and without repeats."""
    return _numbers(text, "--edit-counts", "numbers of edits such as 1,10,100", lowest=1)


def parse_batches(text: str) -> tuple[int, ...]:
    """Read ``1,10,100``: facts of one edit."""
    return _numbers(text, "--edit-batch-size", "facts of one edit such as 1,10,100", lowest=1)


def parse_layers(text: str) -> tuple[int, ...]:
    """Read ``5,20``: layers counted from 0."""
    return _numbers(text, "--edit-layers", "layers counted from 0 such as 5,20", lowest=0)


def _numbers(text: str, option: str, wanted: str, *, lowest: int) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
        raise OptionError(f"{option} is {text!r}; give {wanted}, separated by commas")
    numbers = sorted({int(word) for word in words})
    if numbers[0] < lowest:
        raise OptionError(f"{option} is {text!r}; give {wanted}, none under {lowest}")
    return tuple(numbers)


def tier_counts(tier: str) -> tuple[int, ...]:
    """The counts of a tier.

    Raises:
        OptionError: there is no such tier.
    """
    if tier not in TIERS:
        raise OptionError(f"--edit-tier is {tier!r}; it can be {listing(TIERS)}")
    return TIERS[tier]


def judge_card(settings: RunSettings) -> ModelCard | None:
    """The card that ``--edit-judge`` names; None where it names none.

    Raises:
        OptionError: nothing goes by that name.
    """
    if not settings.judge:
        return None
    try:
        return resolve_card(settings.judge)
    except EditsuiteError as error:
        raise OptionError(f"--edit-judge {settings.judge}: {error}") from error
