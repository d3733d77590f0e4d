"""What the unedited model gives for a lesson: it never changes, so it is computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from editsuite.engine import DecoderStack, Places, ResumeCache, run_packed, states_entering
from editsuite.training.lessons import Lesson

#: Bytes of kept states in memory; what does not fit is computed anew.
MEMORY = 2 << 30


@dataclass(frozen=True)
class LessonStates:
    """A lesson's sequences, and what the layers below the edits give for them.

    Attributes:
        prompt: ``[tokens, hidden]`` states entering the lowest edited layer.
        rephrase: the same of the rephrase.
        unrelated: the same of the unrelated texts, one after another.
        final: ``[held, hidden]`` states of the unrelated texts that leave the last layer of the
            unedited model, before the final norm, at the positions that are held.
    """

    prompt: Tensor
    rephrase: Tensor
    unrelated: Tensor
    final: Tensor


class KeptStates:
    """States of lessons, computed when first asked for.

    Each lesson is a pass of its own, so its states are the same bits in whatever order lessons
    are asked for: a training that was interrupted goes on with the same numbers.

    Args:
        stack: the unedited model.
        layer: the lowest edited layer.
    """

    def __init__(self, stack: DecoderStack, layer: int) -> None:
        self._stack, self._layer = stack, layer
        identity = (stack.loaded.digest, str(stack.loaded.dtype), stack.device.type)
        self._kept = ResumeCache(layer, identity, memory=MEMORY)

    def of(self, lesson: Lesson) -> LessonStates:
        """The states of a lesson."""
        kept = self._kept.states(_key(lesson), lambda: self._compute(lesson))
        return LessonStates(kept["prompt"], kept["rephrase"], kept["unrelated"], kept["final"])

    @torch.no_grad()
    def _compute(self, lesson: Lesson) -> Mapping[str, Tensor]:
        stack, sequences = self._stack, _sequences(lesson)
        places = Places.of([(0, len(ids)) for ids in sequences], stack.device)
        ids = torch.tensor([token for ids in sequences for token in ids], device=stack.device)
        entering = states_entering(stack, ids, places, self._layer)
        lengths = [len(ids) for ids in sequences]
        prompt, rephrase, unrelated = torch.split(entering, [*lengths[:2], sum(lengths[2:])])
        alone = Places.of([(0, length) for length in lengths[2:]], stack.device)
        final = run_packed(stack, unrelated, alone, self._layer, stack.depth)
        ends = accumulate(lengths[2:], initial=0)
        held = [at + p for at, text in zip(ends, lesson.unrelated, strict=False) for p in text.held]
        parts = {"prompt": prompt, "rephrase": rephrase, "unrelated": unrelated}
        parts["final"] = final[held]
        return {name: part.clone() for name, part in parts.items()}


def _sequences(lesson: Lesson) -> tuple[tuple[int, ...], ...]:
    """Of targets all tokens but the last, which predicts nothing that is asked."""
    unrelated = (text.ids for text in lesson.unrelated)
    return lesson.prompt.ids[:-1], lesson.rephrase.ids[:-1], *unrelated


def _key(lesson: Lesson) -> tuple[tuple[int, ...], ...]:
    return (*_sequences(lesson), *(text.held for text in lesson.unrelated))
