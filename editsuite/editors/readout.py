"""What the model says as a function of a change at the subject: the fast way and its slow twin."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from editsuite.editors.lookup import LookupRow, LookupStates
from editsuite.engine import (
    Asked,
    DecoderStack,
    LayerCache,
    Places,
    Tail,
    at_least_float32,
    run_packed,
    sight,
    written_out,
)

#: From a change of the value, ``[hidden]``: the log-probabilities of all rows' target tokens,
#: ``[targets]``, and of every token at the essence position, ``[vocabulary]``.
Readout = Callable[[Tensor], tuple[Tensor, Tensor]]


def resumed_readout(stack: DecoderStack, states: LookupStates, layer: int) -> Readout:
    """What the model says, at the cost of what the change can reach.

    A change at the subject's last token in layer L leaves alone every layer up to L and every
    position before the subject's last. So the lower layers ran once (``states``), the earlier
    positions' keys and values above L are computed once here, and a step runs the layers above L
    on the positions from the subject on, all prompts packed into one row without padding, with
    the vocabulary head only where the loss looks.
    """
    rows, hidden = states.rows, states.hidden
    after = torch.cat([hidden[i, row.lookup : len(row.ids)] for i, row in enumerate(rows)])
    earlier = Places.of([(0, row.lookup) for row in rows], hidden.device)
    later = Places.of([(row.lookup, len(row.ids) - row.lookup) for row in rows], hidden.device)
    prefix = _before(stack, states, layer, earlier)
    starts, read = _packed_places(rows, hidden.device)
    asked = Asked(later, read, _wanted(states))
    tail = open_tail(stack, layer + 1, asked, earlier, prefix)

    def readout(delta: Tensor) -> tuple[Tensor, Tensor]:
        change = delta.to(after.dtype).expand(len(rows), -1)
        return tail(after.index_add(0, starts, change))

    return readout


def _before(stack: DecoderStack, states: LookupStates, layer: int, earlier: Places) -> LayerCache:
    """Keys and values above the layer, of the positions before the subjects' last tokens."""
    cache = LayerCache(grow=True)
    if len(earlier):
        parts = [states.hidden[i, : row.lookup] for i, row in enumerate(states.rows)]
        with torch.no_grad():
            run_packed(stack, torch.cat(parts), earlier, layer + 1, stack.depth, cache=cache)
    return cache.frozen()


def open_tail(
    stack: DecoderStack, start: int, asked: Asked, earlier: Places, cache: LayerCache
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The layers from ``start`` on as a function of what enters them; see ``engine.Tail``.

    Written out where the architecture allows, else by transformers' own layers under autograd.
    """
    if stack.ways.written_out and written_out(stack, start):
        return Tail(stack, start, asked, earlier, cache)
    return _general_tail(stack, start, asked, earlier, cache)


def _general_tail(
    stack: DecoderStack, start: int, asked: Asked, earlier: Places, cache: LayerCache
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """``Tail`` by transformers' own layers and torch's autograd, for every architecture."""
    keys = earlier.then(asked.places)
    mask = sight(asked.places, keys)

    def tail(hidden: Tensor) -> tuple[Tensor, Tensor]:
        out = stack.run(
            hidden[None],
            start=start,
            stop=stack.depth,
            positions=asked.places.position[None],
            mask=mask,
            key_positions=keys.position[None],
            cache=cache,
        )
        return _said(stack.logits(out[0].index_select(0, asked.read)), asked.wanted)

    return tail


def _said(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits at the target positions and, as the last row, at the essence position."""
    log_probs = torch.log_softmax(logits, dim=-1)
    return log_probs[:-1].gather(1, wanted[:, None])[:, 0], log_probs[-1]


def _wanted(states: LookupStates) -> Tensor:
    return torch.tensor([t for r in states.rows for t in r.target], device=states.hidden.device)


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
    """The same the long way: transformers' own whole forward pass with a hook.

    Slow; kept as the twin that the fast way is tested against.
    """
    rows, wanted = states.rows, _wanted(states)
    index = torch.arange(len(rows), device=stack.device)
    lookups = torch.tensor([row.lookup for row in rows], device=stack.device)
    at_rows = [i for i, row in enumerate(rows) for _ in row.target] + [len(rows) - 1]
    at_columns = [row.context - 1 + j for row in rows for j in range(len(row.target))]
    at_columns.append(rows[-1].lookup)
    mlp = stack.layers[layer].get_submodule(stack.loaded.family.mlp)

    def readout(delta: Tensor) -> tuple[Tensor, Tensor]:
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
            ).logits
        finally:
            handle.remove()
        return _said(at_least_float32(logits[at_rows, at_columns]), wanted)

    return readout
