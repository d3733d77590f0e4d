"""A preset as the settings of one run of pytest."""

from __future__ import annotations

import pytest

from editsuite.measures.capabilities.choice import parse_drawing
from editsuite.plugin import options
from editsuite.plugin.cases import measures_of
from editsuite.plugin.known_options import OPTIONS
from editsuite.presets import Expansion, PresetRun, expand, read_preset
from editsuite.runs.settings import RunSettings

#: Options that a preset has a value for.
SETTINGS = frozenset(
    (
        *("facts", "counts", "layers", "batch-size", "set", "seed", "data", "items"),
        *("temperature", "texts", "text-items"),
    )
)


def expansion(config: pytest.Config, base: RunSettings) -> Expansion | None:
    """What ``--edit-preset`` names on the model of a run; None: no preset is named.

    Args:
        config: pytest's configuration.
        base: the settings by all other options.

    Raises:
        OptionError: there is no such preset, it takes several runs, or it looks at something
            that this version has no measure of.
    """
    name = options.value(config, "preset")
    if not name:
        return None
    from editsuite.runs.measuring import check_measures

    given = explicit(config) - {"preset"}
    chosen = options.value(config, "methods") if "methods" in given else ""
    found = expand(
        read_preset(name),
        base,
        explicit=given & SETTINGS,
        methods=tuple(word.strip() for word in chosen.split(",")) if chosen else (),
        tier=options.value(config, "tier") if "tier" in given else None,
        repeats=parse_drawing("1", options.value(config, "repeats"))[1],
    )
    check_measures(found.one().measures)
    return found


def header(found: Expansion) -> list[str]:
    """What stands above a run: the preset, and what of it is otherwise than in the paper."""
    preset = found.preset
    return [f"editsuite preset {preset.name}: {preset.title} ({preset.source})", *found.told]


def explicit(config: pytest.Config) -> frozenset[str]:
    """Names of the options that the command line itself gives."""
    names = (option.name for option in OPTIONS)
    return frozenset(
        name for name in names if config.getoption(f"edit_{name.replace('-', '_')}") is not None
    )


def policy(config: pytest.Config, found: Expansion | None) -> str:
    """What a number without a baseline does; a preset observes unless it is asked not to."""
    named = options.value(config, "missing-baseline")
    return "observe" if found is not None and named == "auto" else named


def split_checks(
    run: PresetRun, items: list[pytest.Item]
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Checks that look at what the preset looks at, and the others; other tests stay."""
    kept: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        looked = measures_of(item)
        (kept if not looked or set(looked) & set(run.measures) else others).append(item)
    return kept, others
