"""One step of training: edit every fact of a batch by itself, and ask each edited model.

Mitchell et al. 2022, section 3.2: the loss of a fact is ``c_edit`` times the negative
log-likelihood of its target under the edited model, plus ``c_loc`` times the divergence of the
edited model from the unedited one on an unrelated prompt. All facts of a batch go through one
packed row, in which every token meets the update of its own fact only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from editsuite.training.recipe import Recipe
from editsuite.training.states import LessonStates


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

    def losses(self, recipe: Recipe) -> Tensor:
        """What is minimised, of every fact."""
        edit = torch.lerp(self.prompt, self.rephrase, recipe.c_rephrase)
        return recipe.c_edit * edit + recipe.c_loc * self.locality


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
        hidden = torch.cat([t for s in states for t in (s.prompt, s.rephrase, s.unrelated)])
        row = _Row.of(lessons, device)
        with changed(stack, net.shapes, updates, row.owner):
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
    held = [sum(len(text.held) for text in lesson.unrelated) for lesson in lessons]
    lengths = torch.tensor(held, device=device)
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
    """The packed row of a batch: each lesson's prompt, rephrase and unrelated texts.

    Attributes:
        places: of the tokens.
        owner: ``[tokens]`` the lesson of each.
        read: columns whose predictions are wanted.
        columns: for prompts, rephrases and unrelated texts, which of ``read`` are theirs.
    """

    places: Places
    owner: Tensor
    read: Tensor
    columns: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, lessons: Sequence[Lesson], device: torch.device) -> _Row:
        spans: list[tuple[int, int]] = []
        owner: list[int] = []
        read: list[int] = []
        columns: tuple[list[int], list[int], list[int]] = ([], [], [])
        for number, lesson in enumerate(lessons):
            for kind, (positions, length) in _pieces(lesson):
                at = len(owner)
                columns[kind].extend(range(len(read), len(read) + len(positions)))
                read += [at + position for position in positions]
                spans.append((0, length))
                owner += [number] * length
        prompts, rephrases, unrelated = (torch.tensor(own, device=device) for own in columns)
        return cls(
            Places.of(spans, device),
            torch.tensor(owner, device=device),
            torch.tensor(read, device=device),
            (prompts, rephrases, unrelated),
        )


def _pieces(lesson: Lesson) -> Iterator[tuple[int, tuple[Sequence[int], int]]]:
    """Of each sequence its kind, the positions that are read, and its length."""
    for kind, asked in enumerate((lesson.prompt, lesson.rephrase)):
        length = len(asked.ids) - 1
        yield kind, (range(len(asked.context_ids) - 1, length), length)
    for text in lesson.unrelated:
        yield 2, (text.held, len(text.ids))


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
