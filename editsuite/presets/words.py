"""What a run of a preset does otherwise than the paper, in words."""

from __future__ import annotations

from collections.abc import Collection

from editsuite.cards import ModelCard
from editsuite.presets.preset import Place, Preset
from editsuite.presets.scaling import Scale
from editsuite.runs.settings import RunSettings

PREFIX = "capability."


def words_of(
    preset: Preset,
    base: RunSettings,
    card: ModelCard,
    own: bool,
    tier: str,
    scale: Scale,
    explicit: Collection[str],
) -> tuple[str, ...]:
    """One sentence for each thing that is not as in the paper, or that the paper does not tell.

    Args:
        preset: which.
        base: the settings without the preset.
        card: of the model.
        own: whether the paper ran that model.
        tier: how far the run goes.
        scale: of layers and counts.
        explicit: options whose values win over the preset's.
    """
    said = []
    if not own:
        said.append(f"model: {card.name} in place of {', '.join(preset.models)}")
    if "layers" not in explicit:
        places: list[Place] = [place for part in preset.parts for place in part.places]
        said += scale.words(list(dict.fromkeys(places)))
    if "counts" not in explicit:
        said += _counts(preset, tier, scale)
    if not own and "facts" not in explicit and base.facts != preset.facts:
        said.append(f"facts: {base.facts} in place of {preset.facts}")
    said += _items(preset, base, own, explicit)
    if preset.untold:
        said.append(f"the paper does not tell {preset.untold}")
    if explicit:
        said.append(
            "options over the preset: " + ", ".join(f"--edit-{o}" for o in sorted(explicit))
        )
    return tuple(said)


def _counts(preset: Preset, tier: str, scale: Scale) -> list[str]:
    said = []
    for part in preset.parts:
        taken = scale.counts(part.counts)
        left = [str(count) for count in part.counts if count not in taken]
        moved = [f"{b} edits in place of {a}" for a, b in taken.items() if a != b]
        lost = set(part.batches) - set(scale.batches(part.batches, list(taken.values())))
        if left:
            said.append(f"counts by tier {tier}: without {', '.join(left)} edits")
        said += [f"counts by tier {tier}: {text}" for text in moved]
        said += [f"no count is whole batches of {size}: left out" for size in sorted(lost)]
    return list(dict.fromkeys(said))


def _items(preset: Preset, base: RunSettings, own: bool, explicit: Collection[str]) -> list[str]:
    """What is asked in place of the paper's benchmarks and texts."""
    said = []
    if not own and base.capabilities.data is None:
        if any(name.startswith(PREFIX) for name in preset.measures):
            said.append(
                "benchmarks: the built-in probes in their place (--edit-data names the benchmarks)"
            )
        if any(max(part.temperatures) > 0 for part in preset.parts):
            said.append("temperatures change nothing where a probe scores given options")
    if not own and any("grace.eps" in one for part in preset.parts for one in part.sets):
        said.append(
            "GRACE's threshold: the paper's number, a distance that is another in each model"
        )
    if not own and not base.texts.named and "perplexity" in preset.measures:
        said.append("text: the built-in prose in place of the paper's")
    return said
