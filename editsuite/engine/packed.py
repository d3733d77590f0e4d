"""Any span of layers on sequences packed into one row."""

from __future__ import annotations

import torch
from torch import Tensor

from editsuite.engine.cache import LayerCache
from editsuite.engine.packing import Places, sight
from editsuite.engine.stack import DecoderStack


def run_packed(
    stack: DecoderStack,
    hidden: Tensor,
    places: Places,
    start: int,
    stop: int,
    *,
    cache: LayerCache | None = None,
) -> Tensor:
    """Run layers ``start`` to ``stop`` (excluded) on a packed row, ``[tokens, hidden]``.

    Args:
        stack: the model.
        hidden: ``[tokens, hidden]`` states entering ``start``; no sequence continues another.
        places: of the tokens.
        start: first layer.
        stop: layer before which to end.
        cache: takes the keys and values.
    """
    positions = places.position[None]
    out = stack.run(
        hidden[None],
        start=start,
        stop=stop,
        positions=positions,
        mask=sight(places, places),
        key_positions=positions,
        cache=cache,
    )
    return out[0]


@torch.no_grad()
def states_entering(stack: DecoderStack, ids: Tensor, places: Places, layer: int) -> Tensor:
    """The states that enter a layer, ``[tokens, hidden]``, of packed tokens ``[tokens]``."""
    embedded = stack.embed(ids[None], places.position[None])
    return run_packed(stack, embedded[0], places, 0, layer)
