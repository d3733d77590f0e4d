"""What the unedited model gives for a lesson: it never changes, so it is computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.engine import DecoderStack, Places, ResumeCache, run_packed, states_entering
from editsuite.training.lessons import Lesson

#: Bytes of kept states in memory; what does not fit is computed anew.
MEMORY = 2 << 30


@dataclass(frozen=True)
class LessonStates:
    """A lesson's three sequences, and what the layers below the edits give for them.

    Attributes:
        prompt: ``[tokens, hidden]`` states entering the lowest edited layer.
        rephrase: the same of the rephrase.
        locality: the same of the unrelated prompt.
        final: ``[held, hidden]`` states of the unrelated prompt that leave the last layer of the
            unedited model, before the final norm, at the positions that are held.
    """

    prompt: Tensor
    rephrase: Tensor
    locality: Tensor
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
        kept = self._kept.states((*_sequences(lesson), lesson.held), lambda: self._compute(lesson))
        return LessonStates(kept["prompt"], kept["rephrase"], kept["locality"], kept["final"])

    @torch.no_grad()
    def _compute(self, lesson: Lesson) -> Mapping[str, Tensor]:
        stack, sequences = self._stack, _sequences(lesson)
        places = Places.of([(0, len(ids)) for ids in sequences], stack.device)
        ids = torch.tensor([token for ids in sequences for token in ids], device=stack.device)
        entering = states_entering(stack, ids, places, self._layer)
        prompt, rephrase, locality = torch.split(entering, [len(ids) for ids in sequences])
        alone = Places.of([(0, len(sequences[-1]))], stack.device)
        final = run_packed(stack, locality, alone, self._layer, stack.depth)
        final = final[list(lesson.held)]
        parts = {"prompt": prompt, "rephrase": rephrase, "locality": locality, "final": final}
        return {name: part.clone() for name, part in parts.items()}


def _sequences(lesson: Lesson) -> tuple[tuple[int, ...], ...]:
    """Of targets all tokens but the last, which predicts nothing that is asked."""
    return lesson.prompt.ids[:-1], lesson.rephrase.ids[:-1], lesson.locality
