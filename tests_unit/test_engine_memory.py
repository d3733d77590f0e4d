"""Where memory runs out, smaller passes give the same numbers."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch

from editsuite.cards import tiny_model
from editsuite.engine import Continuation, DecoderStack, generate, score
from editsuite.engine.memory import CPU_TOKENS, find_token_budget, out_of_memory, shrinking
from editsuite.errors import EngineError

pytestmark = pytest.mark.usefixtures("one_thread")

ITEMS = [Continuation(tuple(range(1, 4 + i)), (i, i + 1)) for i in range(7)]


class Narrow(DecoderStack):
    """A stack whose device holds only so many tokens at a time."""

    room = 9

    def run(self, hidden: torch.Tensor, **given: Any) -> torch.Tensor:
        if hidden.shape[0] * hidden.shape[1] > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return super().run(hidden, **given)


def test_scores_survive_a_device_that_is_full() -> None:
    loaded = tiny_model("llama", 3)
    whole = score(DecoderStack(loaded), ITEMS)
    for one, other in zip(score(Narrow(loaded), ITEMS), whole, strict=True):
        assert one.predicted == other.predicted
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-5)


def test_generations_survive_it_too() -> None:
    loaded = tiny_model("llama", 3)
    prompts = [item.context for item in ITEMS]
    whole = generate(DecoderStack(loaded), prompts, max_new_tokens=3)
    assert generate(Narrow(loaded), prompts, max_new_tokens=3) == whole


def test_what_never_fits_is_an_error_with_a_mend() -> None:
    stack = Narrow(tiny_model("llama", 3))
    stack.room = 2
    with pytest.raises(EngineError, match="--edit-dtype bfloat16"):
        score(stack, ITEMS)


def test_other_errors_are_not_taken_for_it() -> None:
    (budget,) = islice(shrinking(8), 1)
    with pytest.raises(RuntimeError, match="shapes"), budget:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_the_cpu_says_it_in_its_own_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert out_of_memory(caught.value)
    assert out_of_memory(MemoryError())
    assert not out_of_memory(ValueError("no"))


def test_a_cpu_gets_the_stated_budget() -> None:
    assert find_token_budget(tiny_model("llama", 3)) == CPU_TOKENS
