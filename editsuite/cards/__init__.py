"""Model cards and loading.

Importing this package loads neither torch nor transformers: the pytest plugin reads cards while
it still chooses GPUs, which must happen before torch starts. The names that need torch are
imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from editsuite.cards.cache import cache_root
from editsuite.cards.card import ModelCard, default_layers, relative_layer, relative_layers
from editsuite.cards.families import FAMILIES, Family
from editsuite.cards.resolve import known_cards, resolve_card
from editsuite.late import late

if TYPE_CHECKING:
    from editsuite.cards.loading import LoadedModel, load_model, prepare_model
    from editsuite.cards.tiny import tiny_model

__all__ = [
    "FAMILIES",
    "Family",
    "LoadedModel",
    "ModelCard",
    "cache_root",
    "default_layers",
    "known_cards",
    "load_model",
    "prepare_model",
    "relative_layer",
    "relative_layers",
    "resolve_card",
    "tiny_model",
]

__getattr__ = late(
    __name__,
    {
        "LoadedModel": "editsuite.cards.loading",
        "load_model": "editsuite.cards.loading",
        "prepare_model": "editsuite.cards.loading",
        "tiny_model": "editsuite.cards.tiny",
    },
)
