"""The runs of one grid of a preset."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from editsuite.cards import ModelCard
from editsuite.errors import OptionError, listing
from editsuite.facts import parse_seed
from editsuite.measures.capabilities.choice import Choice
from editsuite.presets.preset import Part, Place
from editsuite.presets.scaling import Scale
from editsuite.runs.settings import RunSettings

Setting = str | int | float


@dataclass(frozen=True)
class PresetRun:
    """One run of a preset: one model, one temperature, one sample, one set of hyperparameters.

    Attributes:
        settings: what is run.
        methods: the editing methods.
        measures: what is looked at.
        paper: the paper's settings that are the same in the whole run, by the columns of its
            tables: model, temperature, threshold, sample.
        layers: by the paper's one layer, the edited layers of this run.
        counts: by the paper's number of edits, this run's.
    """

    settings: RunSettings
    methods: tuple[str, ...]
    measures: tuple[str, ...]
    paper: Mapping[str, Setting] = field(default_factory=dict)
    layers: Mapping[int, Place] = field(default_factory=dict)
    counts: Mapping[int, int] = field(default_factory=dict)


def runs_of(
    part: Part,
    base: RunSettings,
    card: ModelCard,
    own: bool,
    scale: Scale,
    explicit: Collection[str],
    repeats: int,
) -> Iterator[PresetRun]:
    """The runs of a part: one for each place, sample, temperature and set of hyperparameters.

    Args:
        part: the grid.
        base: what is the same in all runs.
        card: of the model.
        own: whether the paper ran that model.
        scale: of layers and counts.
        explicit: options whose values in ``base`` win over the part's.
        repeats: draws of each item, where the temperature is above 0.

    Raises:
        OptionError: no count is whole batches.
    """
    counts = {c: c for c in base.counts} if "counts" in explicit else scale.counts(part.counts)
    here = tuple(sorted(set(counts.values())))
    batches = base.batches if "batch-size" in explicit else scale.batches(part.batches, here)
    if not batches:
        raise OptionError(
            f"batches of {listing(map(str, part.batches))} divide none of the counts "
            f"{listing(map(str, here))}; give counts that are whole batches (--edit-counts)"
        )
    for layers, named in _places(part, base, scale, explicit):
        for seed, heat, given in _axes(part, base, explicit):
            paper: dict[str, Setting] = {"model": card.name} if own else {}
            if len(part.seeds) > 1 and "seed" not in explicit:
                paper["sample"] = seed
            if len(part.temperatures) > 1 or "temperature" in explicit:
                paper["temperature"] = heat
            if "grace.eps" in given:
                paper["threshold"] = float(str(given["grace.eps"]))
            settings = replace(
                base,
                counts=here,
                layers=layers,
                seed=parse_seed(seed),
                batches=batches,
                capabilities=_heated(base.capabilities, heat, repeats),
                hyperparameters=_beyond(given, card),
            )
            yield PresetRun(settings, part.methods, part.measures, paper, named, counts)


def _places(
    part: Part, base: RunSettings, scale: Scale, explicit: Collection[str]
) -> list[tuple[tuple[int, ...] | None, Mapping[int, Place]]]:
    """Layers of each run, and which of the paper's layers they stand for."""
    if "layers" in explicit:
        return [(base.layers, {layer: (layer,) for layer in base.layers or ()})]
    if part.places == ((),):
        return [(None, {})]
    if part.spans:
        return [(scale.place(place), {}) for place in part.places]
    # In a shallow model two of the paper's layers may be one.
    named = {place[0]: scale.place(place) for place in part.places}
    return [(tuple(sorted({layer for (layer,) in named.values()})), named)]


def _axes(
    part: Part, base: RunSettings, explicit: Collection[str]
) -> Iterator[tuple[str, float, Mapping[str, object]]]:
    """Seeds, temperatures and hyperparameters; what was given explicitly takes an axis away."""
    heats = part.temperatures
    if "temperature" in explicit:
        heats = (base.capabilities.temperature,)
    seeds = (str(base.seed),) if "seed" in explicit else part.seeds
    sets: dict[str, Mapping[str, object]] = {}
    for one in part.sets:
        merged = {**one, **(base.hyperparameters if "set" in explicit else {})}
        sets[repr(sorted(merged.items(), key=str))] = merged
    return product(seeds, heats, sets.values())


def _heated(choice: Choice, temperature: float, repeats: int) -> Choice:
    # At temperature 0 every draw is the same.
    return replace(choice, temperature=temperature, repeats=repeats if temperature else 1)


def _beyond(given: Mapping[str, object], card: ModelCard) -> dict[str, object]:
    """Hyperparameters that are not the card's own: the usual plan keeps its baselines."""
    found = {}
    for name, value in given.items():
        owner, _, bare = name.rpartition(".")
        if card.hyperparameters.get(owner, {}).get(bare) != value:
            found[name] = value
    return found
