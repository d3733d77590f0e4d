"""From what EasyEdit returns to changes of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from editsuite.cards import LoadedModel
from editsuite.editors.protocol import Change, Dense, LowRank
from editsuite.errors import EditError


def weights_of(loaded: LoadedModel, layers: Sequence[int]) -> dict[str, Tensor]:
    """The down projections of some layers, by full name."""
    names = [loaded.down_proj_name(layer) for layer in layers]
    return {name: loaded.model.get_parameter(name).detach() for name in names}


def change_of(delta: Any, loaded: LoadedModel, name: str) -> Change:
    """What EasyEdit returns for a weight, in the map's own orientation.

    A pair of factors stays one; a whole matrix, in the weight's own orientation, is dense.

    Raises:
        EditError: it is neither, does not fit the weight, or is not finite.
    """
    weight = loaded.model.get_parameter(name)
    d_out, d_in = weight.shape[::-1] if loaded.family.transposed else weight.shape
    parts = [delta] if isinstance(delta, Tensor) else list(delta)
    tensors = [part.detach().to(weight.device, torch.float32) for part in parts]
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise EditError(f"EasyEdit's change of {name} is not finite; edit in float32")
    if len(tensors) == 1 and tensors[0].shape == weight.shape:
        return Dense(tensors[0].T.contiguous() if loaded.family.transposed else tensors[0])
    if len(tensors) == 2:
        entering, leaving = (t[:, None] if t.ndim == 1 else t for t in tensors)
        if len(entering) == d_in and len(leaving) == d_out:
            return LowRank(leaving.contiguous(), entering.contiguous())
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
    raise EditError(f"EasyEdit's change of {name} has the shape {shapes}, which fits no weight")
