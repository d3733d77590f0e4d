"""From a preset and the options of a run to the runs that it takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from editsuite.cards import ModelCard, resolve_card
from editsuite.errors import OptionError
from editsuite.measures.capabilities.choice import HUB
from editsuite.measures.texts import TextChoice
from editsuite.presets.grid import PresetRun, runs_of
from editsuite.presets.preset import Preset
from editsuite.presets.scaling import ITEMS, TEXTS, Scale
from editsuite.presets.words import words_of
from editsuite.runs.settings import RunSettings, tier_counts


@dataclass(frozen=True)
class Expansion:
    """The runs of a preset on one model.

    Attributes:
        preset: which.
        card: of the model.
        runs: what is to be run.
        told: what is otherwise than in the paper, in words.
    """

    preset: Preset
    card: ModelCard
    runs: tuple[PresetRun, ...]
    told: tuple[str, ...]

    def one(self) -> PresetRun:
        """The only run, for those who can hold no more.

        Raises:
            OptionError: there are several; the message tells the way.
        """
        if len(self.runs) == 1:
            return self.runs[0]
        raise OptionError(
            f"--edit-preset {self.preset.name} takes {len(self.runs)} runs "
            f"({_differences(self.runs)}), and one run of pytest holds one; run them all by "
            f"`editsuite reproduce {self.preset.name} --edit-model {self.card.name}`, or choose "
            "one with these options"
        )


def expand(
    preset: Preset,
    base: RunSettings,
    *,
    explicit: Collection[str] = (),
    methods: Sequence[str] = (),
    tier: str | None = None,
    repeats: int = 1,
) -> Expansion:
    """Expand a preset on the model of some settings.

    Args:
        preset: which.
        base: the settings of a run without the preset.
        explicit: names of the options (without ``--edit-``) whose values in ``base`` win over
            the preset's.
        methods: the methods that were asked for; none: the preset's.
        tier: how far to go; None: ``paper`` for a model that the paper ran, else ``standard``.
        repeats: draws of each item, where the temperature is above 0.

    Raises:
        OptionError: the table only describes, or nothing of the preset is left.
    """
    preset.check_runs()
    card = resolve_card(base.model)
    own = card.name in preset.models
    tier = tier or ("paper" if own else "standard")
    tier_counts(tier)
    scale = Scale.of(card, resolve_card(preset.models[0]), own, tier)
    runs: list[PresetRun] = []
    for part in preset.parts:
        if own and card.name not in part.models:
            continue
        part = replace(part, methods=tuple(methods) or part.methods)
        settings = _common(preset, base, card, own, tier, explicit)
        runs += runs_of(part, settings, card, own, scale, explicit, repeats)
    told = words_of(preset, base, card, own, tier, scale, explicit)
    return Expansion(preset, card, tuple(_merged(runs)), told)


def _common(
    preset: Preset,
    base: RunSettings,
    card: ModelCard,
    own: bool,
    tier: str,
    explicit: Collection[str],
) -> RunSettings:
    """What is the same in all runs: facts and items."""
    choice = base.capabilities
    if own and "data" not in explicit and choice.data is None:
        choice = replace(choice, data=Path(HUB))
    if "items" not in explicit:
        choice = replace(choice, items=ITEMS[tier])
    facts = preset.facts if own and "facts" not in explicit else base.facts
    texts = base.texts
    if own and not {"texts", "text-items"} & set(explicit) and not texts.named:
        texts = TextChoice("wikitext", TEXTS)
    model = card.name if own else base.model
    return replace(base, model=model, facts=facts, capabilities=choice, texts=texts)


def _merged(runs: Sequence[PresetRun]) -> list[PresetRun]:
    """Runs of the same settings are one, with the methods of all."""
    found: list[PresetRun] = []
    for run in runs:
        for i, other in enumerate(found):
            if replace(run, methods=other.methods) == other:
                methods = tuple(dict.fromkeys((*other.methods, *run.methods)))
                found[i] = replace(other, methods=methods)
                break
        else:
            found.append(run)
    return found


def _differences(runs: Sequence[PresetRun]) -> str:
    """What the runs differ in, by the names of the options."""
    axes: dict[str, set[object]] = {
        "--edit-layers": {run.settings.layers for run in runs},
        "--edit-temperature": {run.settings.capabilities.temperature for run in runs},
        "--edit-seed": {run.settings.seed for run in runs},
        "--edit-set": {repr(run.settings.hyperparameters) for run in runs},
        "--edit-methods": {run.methods for run in runs},
    }
    return ", ".join(name for name, values in axes.items() if len(values) > 1)
