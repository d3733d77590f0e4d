"""Training a hypernetwork: steps, evaluations on held-out facts, and when to stop."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from editsuite.editors.gradients import map_shapes
from editsuite.editors.hypernetwork import Hypernetwork
from editsuite.editors.hypernetwork_file import HypernetworkFile
from editsuite.engine import DecoderStack
from editsuite.errors import EditError, OptionError
from editsuite.training.checkpoint import (
    Checkpoint,
    Evaluation,
    least,
    moments,
    read_checkpoint,
    restore,
)
from editsuite.training.lessons import Lesson, Lessons, order_of
from editsuite.training.recipe import Recipe
from editsuite.training.states import KeptStates
from editsuite.training.step import Outcome, outcome
from editsuite.training.trained import Trained


class Trainer:
    """Trains a network for one model; killed anywhere, the same call goes on.

    A checkpoint is written with each evaluation, in a folder that is named after all that
    determines a step. On one thread a training that was interrupted ends at the same bits.

    Args:
        stack: the unedited model.
        lessons: facts to learn from and to stop by.
        recipe: how.
        root: folder of trainings.
        start: a trained network to begin with, its statistics included; None for a new one.

    Raises:
        OptionError: ``start`` is for another model, other matrices or another rank.
    """

    def __init__(
        self,
        stack: DecoderStack,
        lessons: Lessons,
        recipe: Recipe,
        root: Path,
        start: HypernetworkFile | None = None,
    ) -> None:
        self._stack, self._lessons, self._recipe = stack, lessons, recipe
        self._states = KeptStates(stack, recipe.lowest)
        self.net = Hypernetwork(
            map_shapes(stack, recipe.layers),
            rank=recipe.rank,
            n_hidden=recipe.n_hidden,
            rate=recipe.rate,
            seed=recipe.seed,
        ).to(stack.device)
        others = [p for name, p in self.net.named_parameters() if name != "rates"]
        groups = [
            {"params": others, "lr": recipe.lr},
            {"params": [self.net.rates], "lr": recipe.lr_rates},
        ]
        self._optimizer = torch.optim.Adam(groups)
        identity = [stack.loaded.digest, recipe.identity(), lessons.description]
        if start is not None:
            _check_start(start, stack.loaded.digest, self.net)
            self.net.load_state_dict(start.net.state_dict())
            identity.append(start.digest)
        text = json.dumps(identity)
        self.folder = root / "mend" / hashlib.sha256(text.encode()).hexdigest()[:32]

    def train(
        self,
        *,
        step: Callable[[int, float], None] = lambda number, loss: None,
        evaluated: Callable[[Evaluation], None] = lambda evaluation: None,
    ) -> Trained:
        """Train to the end of the recipe, from the last checkpoint on.

        Args:
            step: told the number of steps made and the last one's loss.
            evaluated: told each evaluation that is made.

        Raises:
            EditError: the loss is not finite.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        curve, best = self._resumed()
        made = curve[-1].step if curve else 0
        losses: list[float] = []
        batches = self._batches(made)
        while True:
            # Before the first steps the network has no statistics, and nothing to be asked.
            if made and made % self._recipe.every == 0 and not (curve and curve[-1].step == made):
                curve.append(self._evaluate(made, losses))
                losses.clear()
                if least(curve).step == made:
                    best = _copy(self.net)
                self._keep(curve, best)
                evaluated(curve[-1])
            if made >= self._recipe.steps or self._done(curve):
                break
            losses.append(self._step(next(batches), made))
            made += 1
            step(made, losses[-1])
        self.net.load_state_dict(dict(best))
        return Trained(self.net, tuple(curve))

    def _resumed(self) -> tuple[list[Evaluation], Mapping[str, Tensor]]:
        kept = read_checkpoint(self.folder)
        if kept is None:
            return [], _copy(self.net)
        self.net.load_state_dict(dict(kept.net))
        restore(self.net, self._optimizer, kept.adam)
        # A shorter training asked for afterwards is the beginning of the longer one.
        return list(kept.curve), kept.best

    def _keep(self, curve: Sequence[Evaluation], best: Mapping[str, Tensor]) -> None:
        adam = moments(self.net, self._optimizer)
        Checkpoint(tuple(curve), _copy(self.net), best, adam).write(self.folder)

    def _done(self, curve: Sequence[Evaluation]) -> bool:
        since = [e for e in curve if e.step > least(curve).step]
        return len(since) >= self._recipe.patience

    def _batches(self, made: int) -> Iterator[Sequence[Lesson]]:
        """The batches from step ``made`` on, epoch after epoch; a short last one is left out."""
        size, seed = self._recipe.batch, self._recipe.seed
        each = max(1, len(self._lessons.train) // size)
        for epoch in count(made // each):
            order = order_of(self._lessons.train, seed, epoch)
            for number in range(max(0, made - epoch * each), each):
                yield order[number * size : (number + 1) * size]

    def _step(self, lessons: Sequence[Lesson], made: int) -> float:
        recipe = self._recipe
        loss = self._ask(lessons, learn=True).losses(recipe).mean()
        told = float(loss.detach())
        if not math.isfinite(told):
            raise EditError(
                f"training, step {made + 1}: the loss is {told}; lower the learning rates (--lr, "
                "--lr-rates) or the first rate (--rate)"
            )
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip)
        self._optimizer.step()
        return told

    def _ask(self, lessons: Sequence[Lesson], *, learn: bool) -> Outcome:
        states = [self._states.of(lesson) for lesson in lessons]
        layer = self._recipe.lowest
        return outcome(self._stack, self.net, lessons, states, layer, learn=learn)

    def _evaluate(self, made: int, losses: Sequence[float]) -> Evaluation:
        recipe, held_out = self._recipe, self._lessons.held_out
        starts = range(0, len(held_out), recipe.batch)
        seen = [self._ask(held_out[i : i + recipe.batch], learn=False) for i in starts]
        loss = torch.cat([found.losses(recipe) for found in seen])
        return Evaluation(
            made,
            math.fsum(losses) / len(losses),
            float(loss.mean()),
            float(torch.cat([o.prompt_accuracy for o in seen]).mean()),
            float(torch.cat([o.rephrase_accuracy for o in seen]).mean()),
            float(torch.cat([o.locality for o in seen]).mean()),
        )


def _check_start(file: HypernetworkFile, model: str, net: Hypernetwork) -> None:
    start = file.net
    same = (start.shapes, start.rank, start.n_hidden) == (net.shapes, net.rank, net.n_hidden)
    if not same or file.model != model:
        raise OptionError(
            f"the network to start from is for {file.card} (digest {file.model[:12]}), layers "
            f"{','.join(map(str, file.layers))}, with rank {start.rank}; give the --model, "
            "--layers and --rank that it was trained with"
        )


def _copy(net: Hypernetwork) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in net.state_dict().items()}
