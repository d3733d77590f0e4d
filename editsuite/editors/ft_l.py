"""FT-L: gradient steps on one down projection, under a bound on every entry's change.

Constrained fine-tuning of Zhu et al. 2020 ("Modifying Memories in Transformer Models"), in the
form of Meng et al. 2022 (ROME, appendix E.1, "FT+L"): Adam on the target's negative
log-likelihood, and after every step each entry of the weight brought back to within
``norm_constraint`` of what it was before the edit.

A step runs only the layers above the edited map (``editsuite.editors.target_loss``).

Differs from the reference (kmeng01/rome and EasyEdit, ``ft_main.py``):

- the whole target is taught, each token after those before it. The reference asks all of them of
  the prompt's last token, which is the same for a target of one token; ``objective: prompt_last``
  does that;
- a batch of facts is one loss, not one step for each of its parts.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from editsuite.editors.hyperparameters import bounded, read_hyperparameters
from editsuite.editors.lookup import bare_rows
from editsuite.editors.protocol import Dense, Recorded, Update
from editsuite.editors.single import names_of, one_layer
from editsuite.editors.target_loss import TargetLoss
from editsuite.engine import DecoderStack, batches
from editsuite.errors import EditError
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class FtLHyperparameters:
    """FT-L's hyperparameters, named as in the reference; defaults are its own for GPT-2 XL.

    Attributes:
        lr: Adam's learning rate.
        num_steps: steps at most.
        norm_constraint: largest change of an entry of the weight by one edit.
        early_stop: loss (nats a token) under which no further step is taken.
        objective: ``target_new`` teaches the target token by token, ``prompt_last`` asks all of
            its tokens of the prompt's last position.
    """

    lr: float = bounded(5e-4, above=0)
    num_steps: int = bounded(25, least=1)
    norm_constraint: float = bounded(5e-4, above=0)
    early_stop: float = 1e-2
    objective: Literal["target_new", "prompt_last"] = "target_new"


@dataclass(frozen=True)
class FtL:
    """The method."""

    name: str = "ft_l"
    version: int = 1
    card_key: str = "ft_l"
    spans: bool = False
    batches: bool = True

    def bind(
        self,
        stack: DecoderStack,
        *,
        layers: Sequence[int],
        seed: int,
        hyperparameters: Mapping[str, object],
        cache: Path,
    ) -> BoundFtL:
        """See ``editsuite.editors.protocol.Method``; nothing is drawn and nothing is kept."""
        settings = read_hyperparameters(FtLHyperparameters, hyperparameters, method=self.name)
        return BoundFtL(stack, one_layer(layers, method=self.name), settings)


@dataclass(frozen=True)
class BoundFtL:
    """FT-L on one model, at one layer."""

    stack: DecoderStack
    layer: int
    settings: FtLHyperparameters

    @property
    def inputs(self) -> Mapping[str, object]:
        """The hyperparameters."""
        return {"hyperparameters": dataclasses.asdict(self.settings)}

    @property
    def parameters(self) -> tuple[str, ...]:
        """The one weight that changes."""
        return (self.stack.loaded.down_proj_name(self.layer),)

    def prepare(self) -> None:
        """Nothing is read off the unedited model."""

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """Compute the change for the requests together.

        Raises:
            EditError: a prompt is longer than the model reads, or a loss is not finite.
        """
        started = time.perf_counter()
        rows = bare_rows(self.stack, requests)
        weight = self.stack.loaded.down_proj_weight(self.layer)
        shape = weight.T.shape if self.stack.loaded.family.transposed else weight.shape
        delta = torch.zeros(shape, dtype=torch.float32, device=weight.device)
        lengths = [len(row.ids) for row in rows]
        parts = [
            TargetLoss.of(self.stack, self.layer, [rows[i] for i in group], self.settings.objective)
            for group in batches(lengths, self.stack.token_budget)
        ]
        losses = tune(delta, lambda: _loss(parts, delta, len(rows)), self.settings)
        if not all(map(math.isfinite, losses)):
            raise EditError(
                f"facts {', '.join(r.id for r in requests)}: the loss became {losses[-1]} at step "
                f"{len(losses) - 1}; edit in float32, lower lr, or stop the chain before this edit"
            )
        record: dict[str, Recorded] = {
            "facts": names_of(requests),
            "layer": self.layer,
            "nll_before": losses[0],
            "nll_after": losses[-1],
            "steps": len(losses) - 1,
            "already_known": len(losses) == 1,
            "update_norm": float(delta.norm()),
            "largest_change": float(delta.abs().max()),
            "weight_norm_before": float(weight.float().norm()),
            "seconds": time.perf_counter() - started,
        }
        return Update({self.parameters[0]: Dense(delta)}, record)


def tune(
    delta: Tensor, loss: Callable[[], tuple[float, Tensor]], settings: FtLHyperparameters
) -> list[float]:
    """Adam on ``delta`` within its bound, in place.

    Args:
        delta: the change to begin with, float32 of any shape.
        loss: the loss at ``delta`` as it stands, and its gradient, of the same shape.
        settings: rate, steps, bound and end.

    Returns:
        The loss before the first step and after each; the last one is that of ``delta``.
    """
    optimizer = torch.optim.Adam([delta], lr=settings.lr)
    bound = torch.tensor(settings.norm_constraint, dtype=torch.float32)
    if float(bound) > settings.norm_constraint:  # float32 rounded it up
        bound = torch.nextafter(bound, torch.zeros(()))
    seen: list[float] = []
    while True:
        now, gradient = loss()
        seen.append(now)
        if not math.isfinite(now) or now < settings.early_stop or len(seen) > settings.num_steps:
            return seen
        delta.grad = gradient
        optimizer.step()
        delta.clamp_(-float(bound), float(bound))


def _loss(parts: Sequence[TargetLoss], delta: Tensor, facts: int) -> tuple[float, Tensor]:
    """The mean over facts, part by part."""
    total, gradient = 0.0, torch.zeros_like(delta)
    for part in parts:
        loss, slope = part.loss(delta)
        total += loss
        gradient += slope
    return total / facts, gradient / facts
