"""The built-in facts on the default model: it must not know them yet."""

from __future__ import annotations

import pytest

from editsuite.engine import Continuation, DecoderStack, score
from editsuite.facts import load_facts, target_tokens


@pytest.mark.real_model
def test_the_unedited_model_answers_under_15_percent_as_taught(real_stack: DecoderStack) -> None:
    """Else reliability would be high before anything is edited."""
    tokenizer = real_stack.loaded.tokenizer
    tokens = [
        target_tokens(tokenizer, fact.prompt, fact.target_new)
        for fact in load_facts("builtin").requests
    ]
    scored = score(real_stack, [Continuation(t.context_ids, t.target_ids) for t in tokens])
    hits = [
        sum(a == b for a, b in zip(s.predicted, t.target_ids, strict=True)) / len(t.target_ids)
        for s, t in zip(scored, tokens, strict=True)
    ]
    assert len(hits) >= 300
    assert sum(hits) / len(hits) < 0.15
