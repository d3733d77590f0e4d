"""What the model says as a function of a change at the subject: the fast way and its slow twin."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from editsuite.editors.lookup import LookupRow, LookupStates
from editsuite.engine import DecoderStack, LayerCache, Places, sight

#: From a change of the value: the logits at the target positions, and behind them, as the last
#: row, those at the essence position.
Readout = Callable[[Tensor], Tensor]


def resumed_readout(stack: DecoderStack, states: LookupStates, layer: int) -> Readout:
    """Logits as a function of the change, at the cost of what the change can reach.

    A change at the subject's last token in layer L leaves alone every layer up to L and every
    position before the subject's last. So the lower layers ran once (``states``), the earlier
    positions' keys and values above L are computed once here, and a step runs the layers above L
    on the positions from the subject on, all prompts packed into one row without padding, with
    the vocabulary head only where the loss looks.
    """
    rows, hidden = states.rows, states.hidden
    before = torch.cat([hidden[i, : row.lookup] for i, row in enumerate(rows)])[None]
    after = torch.cat([hidden[i, row.lookup : len(row.ids)] for i, row in enumerate(rows)])[None]
    earlier = Places.of([(0, row.lookup) for row in rows], hidden.device)
    later = Places.of([(row.lookup, len(row.ids) - row.lookup) for row in rows], hidden.device)
    cache = LayerCache(grow=True)
    if len(earlier):
        with torch.no_grad():
            stack.run(
                before,
                start=layer + 1,
                stop=stack.depth,
                positions=earlier.position[None],
                mask=sight(earlier, earlier),
                key_positions=earlier.position[None],
                cache=cache,
            )
    prefix, keys = cache.frozen(), earlier.then(later)
    mask = sight(later, keys)
    starts, read = _packed_places(rows, hidden.device)

    def readout(delta: Tensor) -> Tensor:
        change = delta.to(after.dtype).expand(1, len(rows), -1)
        out = stack.run(
            after.index_add(1, starts, change),
            start=layer + 1,
            stop=stack.depth,
            positions=later.position[None],
            mask=mask,
            key_positions=keys.position[None],
            cache=prefix,
        )
        return stack.logits(out[0].index_select(0, read))

    return readout


def _packed_places(rows: tuple[LookupRow, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Columns of the lookups and of the positions that are read, in the packed row."""
    starts: list[int] = []
    read: list[int] = []
    at = 0
    for row in rows:
        starts.append(at)
        first = at + row.context - 1 - row.lookup
        read += range(first, first + len(row.target))
        at += len(row.ids) - row.lookup
    return torch.tensor(starts, device=device), torch.tensor([*read, starts[-1]], device=device)


def plain_readout(stack: DecoderStack, states: LookupStates, layer: int) -> Readout:
    """The same logits the long way: transformers' own whole forward pass with a hook.

    Slow; kept as the twin that the fast way is tested against.
    """
    rows = states.rows
    index = torch.arange(len(rows), device=stack.device)
    lookups = torch.tensor([row.lookup for row in rows], device=stack.device)
    at_rows = [i for i, row in enumerate(rows) for _ in row.target] + [len(rows) - 1]
    at_columns = [row.context - 1 + j for row in rows for j in range(len(row.target))]
    at_columns.append(rows[-1].lookup)
    mlp = stack.layers[layer].get_submodule(stack.loaded.family.mlp)

    def readout(delta: Tensor) -> Tensor:
        def add(_: object, __: object, output: Tensor) -> Tensor:
            changed = output.clone()
            changed[index, lookups] = changed[index, lookups] + delta.to(output.dtype)
            return changed

        handle = mlp.register_forward_hook(add)
        try:
            logits: Tensor = stack.loaded.model(
                input_ids=states.batch.ids,
                attention_mask=states.batch.real.long(),
                use_cache=False,
            ).logits.float()
        finally:
            handle.remove()
        return logits[at_rows, at_columns]

    return readout
