"""Locality: does the edited model answer unrelated questions as the unedited one does?

Agreement with the unedited model, not with the truth (the paper's reference set of metrics;
EasyEdit compares answers before and after): an edit that mends a wrong unrelated answer has
still reached beyond its fact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from editsuite.engine import Continuation, generate, score
from editsuite.facts import target_tokens
from editsuite.measures.observation import Observation, share
from editsuite.measures.protocol import Look, View

#: Greedy tokens compared.
ANSWER_TOKENS = 5


@dataclass(frozen=True)
class Locality:
    """Agreement on the locality prompts of all facts edited so far."""

    name: str = "locality"
    identity: str = f"locality-1-{ANSWER_TOKENS}"

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """The same questions to the unedited model and to the state."""
        return [Look(0, 1, edits), Look(edits, 1, edits)]

    def look(self, view: View) -> Any:
        """Tokens ranked first along the true answer, and the greedy answer's tokens."""
        stack, tokenizer = view.stack, view.stack.loaded.tokenizer
        asked = [r for r in view.requests if r.locality_prompt is not None]
        if not asked:
            return {"forced": [], "greedy": []}
        prompts = [r.locality_prompt or "" for r in asked]
        tokens = [
            target_tokens(tokenizer, prompt, r.locality_answer or "the")
            for prompt, r in zip(prompts, asked, strict=True)
        ]
        scored = score(stack, [Continuation(t.context_ids, t.target_ids) for t in tokens])
        greedy = generate(stack, [t.context_ids for t in tokens], max_new_tokens=ANSWER_TOKENS)
        return {"forced": [list(s.predicted) for s in scored], "greedy": [list(g) for g in greedy]}

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """Share of equal tokens along the answer; share of equal greedy answers."""
        before, after = (seen[look] for look in self.looks(edits))
        if not before["forced"]:
            return ()
        forced = [
            sum(a == b for a, b in zip(old, new, strict=True)) / len(old)
            for old, new in zip(before["forced"], after["forced"], strict=True)
        ]
        same = [float(a == b) for a, b in zip(before["greedy"], after["greedy"], strict=True)]
        return (share("locality.teacher_forced", forced), share("locality.generated", same))
