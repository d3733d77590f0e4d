"""The sizes of a model's matrices, without the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from editsuite.cards import ModelCard

FILE = Path(__file__).parent / "data" / "shapes.yaml"
#: Architectures whose feed-forward blocks have two matrices; others have three (gate, up, down).
_PLAIN = frozenset({"gpt2", "gptj", "gpt_neox"})


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder.

    Attributes:
        layers: number of layers.
        hidden: width of the residual stream.
        ffn: width of a feed-forward block.
        heads: attention heads.
        kv_heads: key-value heads.
        vocab: rows of the vocabulary's matrix.
        tied: whether that matrix is used at both ends.
        gated: whether a feed-forward block has a gate.
        parameters: of the whole model.
    """

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocab: int
    tied: bool
    gated: bool
    parameters: int

    @property
    def attention(self) -> int:
        """Entries of a layer's attention matrices (query, key, value, output)."""
        kv = self.hidden * self.kv_heads // self.heads
        return 2 * self.hidden * self.hidden + 2 * self.hidden * kv

    @property
    def feed_forward(self) -> int:
        """Entries of a layer's feed-forward matrices."""
        return (3 if self.gated else 2) * self.hidden * self.ffn

    @property
    def layer(self) -> int:
        """Entries of a layer's matrices."""
        return self.attention + self.feed_forward

    @property
    def head(self) -> int:
        """Entries of the vocabulary's matrix."""
        return self.hidden * self.vocab

    @property
    def kv_width(self) -> int:
        """Numbers that a layer's cache keeps of a token."""
        return 2 * self.hidden * self.kv_heads // self.heads


def shape_of(card: ModelCard) -> Shape:
    """The sizes of a card's model: from the table, else from the model's own configuration.

    Raises:
        ModelLoadError: the configuration cannot be had.
    """
    known = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    told = known.get(card.name) if not card.is_local else None
    return _shape(card, told or _from_config(card))


def _shape(card: ModelCard, told: dict[str, Any]) -> Shape:
    return Shape(
        layers=card.n_layers,
        hidden=card.hidden_size,
        ffn=int(told["ffn"]),
        heads=int(told["heads"]),
        kv_heads=int(told["kv_heads"]),
        vocab=card.vocab_size,
        tied=bool(told["tied"]),
        gated=card.architecture not in _PLAIN,
        parameters=card.parameters,
    )


def _from_config(card: ModelCard) -> dict[str, Any]:
    """The names differ between architectures; each has one for each size."""
    if card.is_local:
        from transformers import AutoConfig

        config: Any = AutoConfig.from_pretrained(card.source, local_files_only=True)
    else:
        from editsuite.cards.hub import read_config

        config, _ = read_config(card.source, card.revision)
    heads = int(config.num_attention_heads)
    wide = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None)
    return {
        "ffn": wide or 4 * card.hidden_size,
        "heads": heads,
        "kv_heads": getattr(config, "num_key_value_heads", None) or heads,
        "tied": bool(getattr(config, "tie_word_embeddings", True)),
    }
