"""The value vector: what the edited layer must put out for the model to say the target.

Meng et al. 2022, equation (4): gradient steps on a vector ``v`` that replaces the MLP's output
at the subject's last token, on the mean negative log-likelihood of the target over context
prefixes, plus a KL term that holds the subject's essence and a weight decay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from editsuite.editors.lookup import LookupStates
from editsuite.engine import DecoderStack, LayerCache, causal_mask
from editsuite.errors import EditError


class ValueSettings(Protocol):
    """The hyperparameters of the search, named as in the reference."""

    @property
    def v_num_grad_steps(self) -> int: ...
    @property
    def v_lr(self) -> float: ...
    @property
    def v_weight_decay(self) -> float: ...
    @property
    def clamp_norm_factor(self) -> float: ...
    @property
    def kl_factor(self) -> float: ...
    @property
    def early_stop(self) -> float: ...


@dataclass(frozen=True)
class FoundValue:
    """Result of the search.

    Attributes:
        delta: ``[hidden]`` float32, to be added to the MLP's output at the subject.
        nll_before: mean negative log-likelihood of the target with no change (nats a token).
        nll_after: the same with ``delta``.
        loss_before: whole loss with no change.
        loss_after: whole loss with ``delta``.
        steps: gradient steps taken; 0 where the target was already the answer.
    """

    delta: Tensor
    nll_before: float
    nll_after: float
    loss_before: float
    loss_after: float
    steps: int


#: Logits of the target positions and of the essence position, from a change of the value.
Readout = Callable[[Tensor], tuple[Tensor, Tensor]]


def resumed_readout(stack: DecoderStack, states: LookupStates, layer: int) -> Readout:
    """Logits as a function of the change, at the cost of what the change can reach.

    A change at the subject's last token in layer L leaves alone every layer up to L and every
    position before the subject's last. So the lower layers ran once (``states``), the earlier
    positions' keys and values above L are computed once here, and a step runs the layers above L
    on the positions from the subject on, with the vocabulary head only where the loss looks.
    """
    rows, real = states.rows, states.batch.real
    lookups = [row.lookup for row in rows]
    prefix_width = max(lookups)
    suffix_width = max(len(row.ids) - row.lookup for row in rows)
    hidden = states.hidden
    before = hidden.new_zeros(len(rows), prefix_width, hidden.shape[-1])
    after = hidden.new_zeros(len(rows), suffix_width, hidden.shape[-1])
    before_real = real.new_zeros(len(rows), prefix_width)
    after_real = real.new_zeros(len(rows), suffix_width)
    for i, row in enumerate(rows):
        length = len(row.ids)
        # The prefix is padded on the left and the rest on the right, so that the lookup is
        # column 0 of the rest in every row.
        before[i, prefix_width - row.lookup :] = hidden[i, : row.lookup]
        before_real[i, prefix_width - row.lookup :] = True
        after[i, : length - row.lookup] = hidden[i, row.lookup : length]
        after_real[i, : length - row.lookup] = True
    starts = torch.tensor(lookups, device=hidden.device)[:, None]
    positions = starts + torch.arange(suffix_width, device=hidden.device)[None]
    positions = torch.where(after_real, positions, 0)
    cache = LayerCache(grow=True)
    if prefix_width:
        columns = torch.arange(prefix_width, device=hidden.device)[None]
        with torch.no_grad():
            stack.run(
                before,
                start=layer + 1,
                stop=stack.depth,
                positions=(columns - (prefix_width - starts)).clamp(min=0),
                mask=causal_mask(before_real),
                cache=cache,
            )
    prefix = cache.frozen()
    mask = causal_mask(torch.cat([before_real, after_real], dim=1), queries=suffix_width)
    at_rows, at_columns = _target_places(states, offset=True)

    def readout(delta: Tensor) -> tuple[Tensor, Tensor]:
        changed = torch.cat([after[:, :1] + delta.to(after.dtype), after[:, 1:]], dim=1)
        out = stack.run(
            changed,
            start=layer + 1,
            stop=stack.depth,
            positions=positions,
            mask=mask,
            cache=prefix,
        )
        logits = stack.logits(torch.cat([out[at_rows, at_columns], out[-1:, 0]]))
        return logits[:-1], logits[-1]

    return readout


def plain_readout(stack: DecoderStack, states: LookupStates, layer: int) -> Readout:
    """The same logits the long way: transformers' own whole forward pass with a hook.

    Slow; kept as the twin that the fast way is tested against.
    """
    rows = states.rows
    index = torch.arange(len(rows), device=stack.device)
    lookups = torch.tensor([row.lookup for row in rows], device=stack.device)
    at_rows, at_columns = _target_places(states, offset=False)
    mlp = stack.layers[layer].get_submodule(stack.loaded.family.mlp)

    def readout(delta: Tensor) -> tuple[Tensor, Tensor]:
        def add(_: object, __: object, output: Tensor) -> Tensor:
            changed = output.clone()
            changed[index, lookups] = changed[index, lookups] + delta.to(output.dtype)
            return changed

        handle = mlp.register_forward_hook(add)
        try:
            logits = stack.loaded.model(
                input_ids=states.batch.ids,
                attention_mask=states.batch.real.long(),
                use_cache=False,
            ).logits.float()
        finally:
            handle.remove()
        return logits[at_rows, at_columns], logits[-1, rows[-1].lookup]

    return readout


def _target_places(states: LookupStates, *, offset: bool) -> tuple[list[int], list[int]]:
    at_rows, at_columns = [], []
    for i, row in enumerate(states.rows):
        start = row.context - 1 - (row.lookup if offset else 0)
        at_rows += [i] * len(row.target)
        at_columns += [start + j for j in range(len(row.target))]
    return at_rows, at_columns


def find_value(
    states: LookupStates, readout: Readout, settings: ValueSettings, *, name: str
) -> FoundValue:
    """Search the value vector by Adam, as the reference does.

    Args:
        states: the lower part's states; row 0 is the prompt without a prefix.
        readout: logits as a function of the change.
        settings: the search's hyperparameters.
        name: the fact's id, for error messages.

    Raises:
        EditError: the loss is not finite.
    """
    initial = states.values[0]
    wanted = torch.tensor([t for row in states.rows for t in row.target], device=initial.device)
    target_rows = [row for row in states.rows if row.target]
    # Every prefix weighs the same, and every token of it: as the mean over rows of row means.
    weights = torch.cat(
        [initial.new_full((len(r.target),), 1 / len(r.target)) for r in target_rows]
    ) / len(target_rows)
    delta = torch.zeros_like(initial, requires_grad=True)
    optimizer = torch.optim.Adam([delta], lr=settings.v_lr)
    largest = settings.clamp_norm_factor * initial.norm()
    essence: Tensor | None = None
    before: tuple[float, float] | None = None
    steps = 0
    while True:
        logits, essence_logits = readout(delta)
        picked = torch.log_softmax(logits, dim=-1).gather(1, wanted[:, None])[:, 0]
        nll = -(picked * weights).sum()
        now = torch.log_softmax(essence_logits, dim=-1)
        essence = now.detach() if essence is None else essence
        # Of the changed model from the unchanged one, in this order: KL(now || essence).
        drift = torch.nn.functional.kl_div(essence, now, log_target=True, reduction="sum")
        decay = settings.v_weight_decay * delta.norm() / initial.norm() ** 2
        loss = nll + settings.kl_factor * drift + decay
        value, nll_value = float(loss.detach()), float(nll.detach())
        if not torch.isfinite(loss):
            raise EditError(
                f"fact {name}: the loss became {value} at step {steps}; the model's weights or "
                "activations are no longer finite at the edited layer. Edit in float32, lower "
                "v_lr, or stop the chain before this edit"
            )
        before = before or (nll_value, value)
        # As in the reference, the last evaluation only looks: n steps mean n - 1 updates.
        if value < settings.early_stop or steps >= settings.v_num_grad_steps - 1:
            return FoundValue(delta.detach(), before[0], nll_value, before[1], value, steps)
        (delta.grad,) = torch.autograd.grad(loss, delta)
        optimizer.step()
        steps += 1
        with torch.no_grad():
            norm = delta.norm()
            if norm > largest:
                delta.mul_(largest / norm)
