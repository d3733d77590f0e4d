"""The value vector: what the edited layer must put out for the model to say the target.

Meng et al. 2022, equation (4): gradient steps on a vector ``v`` that replaces the MLP's output
at the subject's last token (for MEMIT the whole layer's output, Meng et al. 2022b, equation 16),
on the mean negative log-likelihood of the target over context prefixes, plus a KL term that holds
the subject's essence and a weight decay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from editsuite.editors.lookup import LookupStates
from editsuite.editors.readout import Readout
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
        delta: ``[hidden]`` float32, to be added to the vector that was searched from.
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


def find_value(
    states: LookupStates,
    readout: Readout,
    settings: ValueSettings,
    *,
    name: str,
    initial: Tensor | None = None,
    waits: bool | None = None,
) -> FoundValue:
    """Search the value vector by Adam, as the reference does.

    Args:
        states: the lower part's states; row 0 is the prompt without a prefix.
        readout: what the model says as a function of the change.
        settings: the search's hyperparameters.
        name: the fact's id, for error messages.
        initial: ``[hidden]`` what is changed, by whose norm clamp and decay measure the change;
            the MLP's output for the prompt alone where None. (Both the MLP's and the layer's
            output go on as one sum, so what the model says does not depend on the choice.)
        waits: ask after every step whether the search is at its end. Without, all steps are run,
            those after the end change nothing, and a GPU is never waited for; the default there.

    Raises:
        EditError: the loss is not finite.
    """
    initial = states.values[0] if initial is None else initial
    waits = initial.device.type == "cpu" if waits is None else waits
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
        log_probs, now = readout(delta)
        nll = -(log_probs * weights).sum()
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
