"""A model in memory, and the way to its modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from editsuite.cards.card import ModelCard
from editsuite.cards.families import Family
from editsuite.errors import CardError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, with what is needed to edit it.

    Attributes:
        card: What it was loaded from.
        family: Where its modules lie.
        model: In eval mode; no parameter requires a gradient.
        tokenizer: Has a pad token (the end token where it had none).
        digest: Identity of weights, configuration and tokenizer, whatever the dtype and device.
        device: Where the model is.
        dtype: The dtype of its parameters.
    """

    card: ModelCard
    family: Family
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    digest: str
    device: torch.device
    dtype: torch.dtype

    @property
    def n_layers(self) -> int:
        """Number of transformer layers."""
        return self.card.n_layers

    def module(self, path: str) -> nn.Module:
        """Return a submodule by its dotted path from the model.

        Raises:
            CardError: If the model has no such module.
        """
        try:
            return self.model.get_submodule(path)
        except AttributeError as error:
            raise CardError(
                f"model {self.card.name!r} ({self.family.architecture}) has no module {path!r}; "
                "its family in editsuite.cards.families does not fit this transformers version"
            ) from error

    def layer_name(self, layer: int) -> str:
        """Return the dotted path of a layer, counted from 0.

        Raises:
            CardError: If the model has no such layer.
        """
        if not 0 <= layer < self.card.n_layers:
            raise CardError(
                f"model {self.card.name!r} has no layer {layer}; its {self.card.n_layers} layers "
                f"count from 0 to {self.card.n_layers - 1}; mend --edit-layers"
            )
        return f"{self.family.layers}.{layer}"

    def layer(self, layer: int) -> nn.Module:
        """Return a transformer layer, counted from 0."""
        return self.module(self.layer_name(layer))

    def mlp(self, layer: int) -> nn.Module:
        """Return the feed-forward block of a layer."""
        return self.module(f"{self.layer_name(layer)}.{self.family.mlp}")

    def down_proj(self, layer: int) -> nn.Module:
        """Return the last linear map of a layer's feed-forward block."""
        return self.module(f"{self.layer_name(layer)}.{self.family.down_proj}")

    def projection_names(self, layer: int) -> tuple[str, ...]:
        """Return the full names of the weights of a layer's feed-forward block.

        They stand in the order of the data: gate, up, down (or up, down where there is no gate).
        """
        layer_name = self.layer_name(layer)
        return tuple(f"{layer_name}.{path}.weight" for path in self.family.projections)

    def down_proj_name(self, layer: int) -> str:
        """Return the full name of the parameter that ROME edits in a layer."""
        return f"{self.layer_name(layer)}.{self.family.down_proj}.weight"

    def down_proj_weight(self, layer: int) -> nn.Parameter:
        """Return that parameter: ``[hidden, inter]``, or ``[inter, hidden]`` if transposed."""
        return self.model.get_parameter(self.down_proj_name(layer))
