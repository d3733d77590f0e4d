"""What an edit is, before it is put on: changes of weights, and what else makes the next state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

#: A number or a word that goes into an edit's record and from there into JSON.
Recorded = float | int | str | bool | None


@dataclass(frozen=True)
class LowRank:
    """A change of a linear map, ``output @ input.T``, in the map's own orientation.

    Attributes:
        output: ``[d_out, rank]`` float32.
        input: ``[d_in, rank]`` float32.
    """

    output: Tensor
    input: Tensor


@dataclass(frozen=True)
class Dense:
    """A change of a linear map that has no few factors, in the map's own orientation.

    Attributes:
        delta: ``[d_out, d_in]`` float32.
    """

    delta: Tensor


#: How a weight changes.
Change = LowRank | Dense
#: A low-rank change as a weight stores it: ``left @ right.T``.
Factors = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Update:
    """What an editor wants changed; it never changes the model itself.

    Attributes:
        factors: by full parameter name, the change of that weight.
        record: what the method has to say of the edit (losses, norms, seconds).
        tensors: what else makes the next state, for a method with a state of its own.
    """

    factors: Mapping[str, Change]
    record: Mapping[str, Recorded]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
