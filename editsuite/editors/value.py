"""The value vector: what the edited layer must put out for the model to say the target.

Meng et al. 2022, equation (4): gradient steps on a vector ``v`` that replaces the MLP's output
at the subject's last token, on the mean negative log-likelihood of the target over context
prefixes, plus a KL term that holds the subject's essence and a weight decay.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from editsuite.editors.lookup import LookupRow, LookupStates
from editsuite.engine import DecoderStack, LayerCache, Places, sight
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


def find_value(
    states: LookupStates,
    readout: Readout,
    settings: ValueSettings,
    *,
    name: str,
    waits: bool | None = None,
) -> FoundValue:
    """Search the value vector by Adam, as the reference does.

    Args:
        states: the lower part's states; row 0 is the prompt without a prefix.
        readout: logits as a function of the change.
        settings: the search's hyperparameters.
        name: the fact's id, for error messages.
        waits: ask after every step whether the search is at its end. Without, all steps are run,
            those after the end change nothing, and a GPU is never waited for; the default there.

    Raises:
        EditError: the loss is not finite.
    """
    initial = states.values[0]
    waits = initial.device.type == "cpu" if waits is None else waits
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
    seen: list[Tensor] = []  # negative log-likelihood and loss of every evaluation
    stopped = torch.zeros((), dtype=torch.bool, device=initial.device)
    steps = torch.zeros((), dtype=torch.long, device=initial.device)
    while True:
        both = torch.log_softmax(readout(delta), dim=-1)
        log_probs, now = torch.split(both, [len(wanted), 1])
        nll = -(log_probs.gather(1, wanted[:, None])[:, 0] * weights).sum()
        essence = now.detach() if essence is None else essence
        # Of the changed model from the unchanged one, in this order: KL(now || essence).
        drift = torch.nn.functional.kl_div(essence, now, log_target=True, reduction="sum")
        decay = settings.v_weight_decay * delta.norm() / initial.norm() ** 2
        loss = nll + settings.kl_factor * drift + decay
        seen.append(torch.stack([nll.detach(), loss.detach()]))
        stopped = stopped | (loss.detach() < settings.early_stop) | ~torch.isfinite(loss.detach())
        # As in the reference, the last evaluation only looks: n steps mean n - 1 updates.
        if len(seen) >= settings.v_num_grad_steps or (waits and bool(stopped)):
            return _found(delta.detach(), torch.stack(seen).cpu(), int(steps), name)
        (delta.grad,) = torch.autograd.grad(loss, delta)
        before = delta.detach().clone()
        optimizer.step()
        steps += ~stopped
        with torch.no_grad():
            delta.mul_((largest / delta.norm()).clamp(max=1.0))
            delta.copy_(torch.where(stopped, before, delta))


def _found(delta: Tensor, seen: Tensor, steps: int, name: str) -> FoundValue:
    """The result, from the losses of all evaluations; after ``steps`` updates nothing moved."""
    (nll_before, loss_before), (nll_after, loss_after) = seen[0].tolist(), seen[steps].tolist()
    if not math.isfinite(loss_after):
        raise EditError(
            f"fact {name}: the loss became {loss_after} at step {steps}; the model's weights or "
            "activations are no longer finite at the edited layer. Edit in float32, lower "
            "v_lr, or stop the chain before this edit"
        )
    return FoundValue(delta, nll_before, nll_after, loss_before, loss_after, steps)
