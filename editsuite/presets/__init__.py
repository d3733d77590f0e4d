"""Presets: what the paper ran for each of its tables and figures, and the runs that come of it."""

from editsuite.presets.expansion import Expansion, expand
from editsuite.presets.grid import PresetRun
from editsuite.presets.preset import Part, Preset
from editsuite.presets.reader import known_presets, read_preset

__all__ = [
    "Expansion",
    "Part",
    "Preset",
    "PresetRun",
    "expand",
    "known_presets",
    "read_preset",
]
