"""One step of training: edit every fact of a batch by itself, and ask each edited model.

Mitchell et al. 2022, section 3.2: the loss of a fact is ``c_edit`` times the negative
log-likelihood of its target under the edited model, plus ``c_loc`` times the divergence of the
edited model from the unedited one on an unrelated prompt. All facts of a batch go through one
packed row, in which every token meets the update of its own fact only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.editors.gradients import (
    Prompts,
    changed,
    gradient_parts,
    logits_above,
    target_losses,
)
from editsuite.editors.hypernetwork import Hypernetwork
from editsuite.engine import DecoderStack, Places
from editsuite.training.lessons import Lesson
from editsuite.training.states import LessonStates

#: Sequences of a lesson in the packed row.
PER_LESSON = 3


@dataclass(frozen=True)
class Outcome:
    """What the edited models of a batch say; every tensor is ``[facts]``.

    Attributes:
        prompt: negative log-likelihood of the target after the prompt, nats a token.
        rephrase: the same after the rephrase.
        locality: ``KL(unedited || edited)``, mean over the held positions, nats.
        prompt_accuracy: share of the target's tokens ranked first after the prompt.
        rephrase_accuracy: the same after the rephrase.
    """

    prompt: Tensor
    rephrase: Tensor
    locality: Tensor
    prompt_accuracy: Tensor
    rephrase_accuracy: Tensor

    def loss(self, c_edit: float, c_loc: float) -> Tensor:
        """What is minimised, mean over the facts."""
        edit = (self.prompt + self.rephrase) / 2
        return (c_edit * edit + c_loc * self.locality).mean()


def outcome(
    stack: DecoderStack,
    net: Hypernetwork,
    lessons: Sequence[Lesson],
    states: Sequence[LessonStates],
    layer: int,
    *,
    learn: bool,
) -> Outcome:
    """Edit each fact by itself and ask the edited models.

    Args:
        stack: the unedited model.
        net: the hypernetwork.
        lessons: the facts.
        states: of the lessons.
        layer: the lowest edited layer.
        learn: take the gradients into the network's statistics first, and keep what the
            gradient of the outcome needs.
    """
    device = stack.device
    inner = Prompts.of([lesson.prompt for lesson in lessons], device)
    hidden = torch.cat([s.prompt for s in states])
    _, gradients = gradient_parts(stack, net.shapes, inner, hidden, layer)
    if learn:
        net.see(gradients)
    with torch.set_grad_enabled(learn):
        updates = net(gradients)
        hidden = torch.cat([t for s in states for t in (s.prompt, s.rephrase, s.locality)])
        row = _Row.of(lessons, device)
        with changed(stack, net.shapes, updates, row.places.sequence // PER_LESSON):
            logits = logits_above(stack, hidden, row.places, layer, row.read)
        asked = [logits[columns] for columns in row.columns]
        divergence = _divergence(stack, torch.cat([s.final for s in states]), asked[2])
        return _outcome(asked, divergence, lessons, inner, device)


def _outcome(
    asked: Sequence[Tensor],
    divergence: Tensor,
    lessons: Sequence[Lesson],
    inner: Prompts,
    device: torch.device,
) -> Outcome:
    other = Prompts.of([lesson.rephrase for lesson in lessons], device)
    numbers = torch.arange(len(lessons), device=device)
    lengths = torch.tensor([len(lesson.held) for lesson in lessons], device=device)
    mean = divergence.new_zeros(len(lessons))
    mean = mean.index_add(0, numbers.repeat_interleave(lengths), divergence) / lengths
    return Outcome(
        target_losses(asked[0], inner),
        target_losses(asked[1], other),
        mean,
        _accuracy(asked[0], inner),
        _accuracy(asked[1], other),
    )


@dataclass(frozen=True)
class _Row:
    """The packed row of a batch: each lesson's prompt, rephrase and unrelated prompt.

    Attributes:
        places: of the tokens; lesson ``i`` has sequences ``3 i`` to ``3 i + 2``.
        read: columns whose predictions are wanted.
        columns: for prompts, rephrases and unrelated prompts, which of ``read`` are theirs.
    """

    places: Places
    read: Tensor
    columns: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, lessons: Sequence[Lesson], device: torch.device) -> _Row:
        spans: list[tuple[int, int]] = []
        read: list[int] = []
        columns: tuple[list[int], list[int], list[int]] = ([], [], [])
        at = 0
        for lesson in lessons:
            prompt, rephrase = lesson.prompt, lesson.rephrase
            pieces = (
                (range(len(prompt.context_ids) - 1, len(prompt.ids) - 1), len(prompt.ids) - 1),
                (
                    range(len(rephrase.context_ids) - 1, len(rephrase.ids) - 1),
                    len(rephrase.ids) - 1,
                ),
                (lesson.held, len(lesson.locality)),
            )
            for own, (columns_read, length) in zip(columns, pieces, strict=True):
                own += range(len(read), len(read) + len(columns_read))
                read += [at + column for column in columns_read]
                spans.append((0, length))
                at += length
        prompts, rephrases, unrelated = (torch.tensor(own, device=device) for own in columns)
        return cls(
            Places.of(spans, device),
            torch.tensor(read, device=device),
            (prompts, rephrases, unrelated),
        )


def _divergence(stack: DecoderStack, final: Tensor, logits: Tensor) -> Tensor:
    """``KL(unedited || edited)`` at every position, ``[positions]``."""
    with torch.no_grad():
        before = torch.log_softmax(stack.logits(final), dim=-1)
    after = torch.log_softmax(logits, dim=-1)
    return torch.nn.functional.kl_div(after, before, log_target=True, reduction="none").sum(-1)


@torch.no_grad()
def _accuracy(logits: Tensor, prompts: Prompts) -> Tensor:
    """Share of each prompt's target tokens that are ranked first, ``[prompts]``."""
    hits = (logits.argmax(dim=-1) == prompts.wanted).float() * prompts.weights
    owner = prompts.places.sequence[prompts.read]
    return hits.new_zeros(int(owner.max()) + 1).index_add(0, owner, hits)
