"""Reliability and generalization: does the edited model say what it was taught?

The paper's section 4: reliability asks the edited prompt, generalization one rephrase;
*individual* scores ask each state about its own latest edit, *sequential* scores ask one state
about all edits so far. Both are given teacher-forced (share of target tokens ranked first, given
the target's earlier tokens, as the paper and EasyEdit count) and by free generation (the greedy
answer begins with the target), because teacher forcing flatters an editor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from editsuite.engine import Continuation, DecoderStack, generate, score
from editsuite.facts import TokenizedTarget, target_tokens
from editsuite.measures.observation import Observation, share
from editsuite.measures.protocol import Look, View

#: Tokens generated beyond the target, to see whether its last word goes on.
BEYOND = 2
MODES = ("teacher_forced", "generated")


@dataclass(frozen=True)
class Asked:
    """What came back for one prompt.

    Attributes:
        teacher_forced: share of the target's tokens that the model ranks first.
        generated: 1 where the greedy answer begins with the target, else 0.
        answer: the greedy answer, for people.
    """

    teacher_forced: float
    generated: float
    answer: str


def ask(stack: DecoderStack, questions: Sequence[tuple[str, str]]) -> list[Asked]:
    """Ask for targets: ``(prompt, target)`` pairs, each both ways."""
    if not questions:
        return []
    tokenizer = stack.loaded.tokenizer
    tokens = [target_tokens(tokenizer, prompt, target) for prompt, target in questions]
    scored = score(stack, [Continuation(t.context_ids, t.target_ids) for t in tokens])
    answers = _answers(stack, tokens)
    results = []
    for (_, target), t, s, answer in zip(questions, tokens, scored, answers, strict=True):
        # A model that says NaN ranks token 0 first; that is no answer, whatever the target is.
        said = [p if lp == lp else None for p, lp in zip(s.predicted, s.log_probs, strict=True)]
        hits = sum(a == b for a, b in zip(said, t.target_ids, strict=True))
        results.append(Asked(hits / len(t.target_ids), float(begins_with(answer, target)), answer))
    return results


def _answers(stack: DecoderStack, tokens: Sequence[TokenizedTarget]) -> list[str]:
    """Greedy answers, each a little longer than its target."""
    tokenizer = stack.loaded.tokenizer
    stops = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    lengths = [len(t.target_ids) + BEYOND for t in tokens]
    new = generate(
        stack, [t.context_ids for t in tokens], max_new_tokens=max(lengths), stop_ids=stops
    )
    return [
        str(tokenizer.decode(list(ids[:length]), skip_special_tokens=True))
        for ids, length in zip(new, lengths, strict=True)
    ]


def begins_with(answer: str, target: str) -> bool:
    """Whether an answer begins with the target as whole words, case aside."""
    said, wanted = answer.strip().casefold(), target.strip().casefold()
    return said.startswith(wanted) and not said[len(wanted) : len(wanted) + 1].isalnum()


def _questions(view: View) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    prompts = [(r.prompt, r.target_new) for r in view.requests]
    rephrases = [(r.rephrase, r.target_new) for r in view.requests if r.rephrase is not None]
    return prompts, rephrases


@dataclass(frozen=True)
class Recall:
    """Recall of edited facts.

    Args:
        scope: ``sequential`` or ``individual``.
    """

    scope: str

    @property
    def name(self) -> str:
        """``recall.sequential`` or ``recall.individual``."""
        return f"recall.{self.scope}"

    @property
    def identity(self) -> str:
        """The items are the facts themselves, which the look names."""
        return "recall-1"

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """One state about all its facts, or every state about its latest batch."""
        if self.scope == "sequential":
            return [Look(edits, 1, edits)]
        return [Look(at, at - batch + 1, at) for at in range(batch, edits + 1, batch)]

    def look(self, view: View) -> Any:
        """Scores and answers for prompts and rephrases."""
        prompts, rephrases = _questions(view)
        asked = ask(view.stack, [*prompts, *rephrases])
        parts = {"reliability": asked[: len(prompts)], "generalization": asked[len(prompts) :]}
        return {
            part: {
                "teacher_forced": [a.teacher_forced for a in items],
                "generated": [a.generated for a in items],
                "answers": [a.answer for a in items],
            }
            for part, items in parts.items()
        }

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """Four shares: each part, both ways; a part without items is left out."""
        observations = []
        for part in ("reliability", "generalization"):
            for mode in MODES:
                scores = [s for look in self.looks(edits, batch) for s in seen[look][part][mode]]
                if scores:
                    observations.append(share(f"{part}.{self.scope}.{mode}", scores))
        return tuple(observations)
