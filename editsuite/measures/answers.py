"""Perplexity of what the edited model writes, under a judge (paper 7.2, Table 4, E.1.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from transformers import PreTrainedTokenizerBase

from editsuite.engine import Continuation, DecoderStack, score
from editsuite.engine.generation import write
from editsuite.facts.targets import token_ids
from editsuite.measures.observation import Observation, absent, exp_of_mean, share
from editsuite.measures.protocol import Look, View
from editsuite.measures.questions import Questions, builtin_questions
from editsuite.measures.repetition import NGRAM, log_adjusted, repetition
from editsuite.measures.texts import plain_tokens

#: The judge's tokens that are scored; an answer with fewer is left out.
SCORED = 20
#: Tokens that are written: more than are scored, for the judge may need fewer for the same text.
WRITTEN = 28
#: Equations (3) and (4), and equation (3) alone.
NAMES = ("perplexity.answers", "perplexity.answers_plain")


@dataclass(frozen=True)
class Answers:
    """Adjusted perplexity of greedy answers.

    The model in a state writes, its judge reads: the first 20 of the judge's tokens of each answer,
    behind the question.

    Attributes:
        questions: what is asked.
    """

    questions: Questions = field(default_factory=builtin_questions)
    name: str = "answers"

    @property
    def identity(self) -> str:
        """Digest of the questions and of how they are asked."""
        return f"answers-1-{SCORED}-{WRITTEN}-{NGRAM}-{self.questions.identity}"

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """What the state writes, and what the judge says of it."""
        return [Look(edits), Look(edits, judged=True)]

    def look(self, view: View) -> Any:
        """The texts that the model writes, special tokens left out."""
        stack, tokenizer = view.stack, view.stack.loaded.tokenizer
        # Where the model has too few positions, the oldest of the shown answers go.
        room = stack.loaded.card.context_length - WRITTEN
        prompts = [token_ids(tokenizer, text)[-room:] for text in self.questions.asked]
        # The first token of each prompt is asked for besides: a model that says NaN of it would
        # write token 0 for ever, and that is no answer.
        written = write(
            stack,
            prompts,
            [ids[:1] for ids in prompts],
            max_new_tokens=WRITTEN,
            stop_ids=_ends(stack),
        )
        return {
            "ids": list(self.questions.ids),
            "texts": [
                "" if math.isnan(one.log_prob) else _new_text(tokenizer, ids, one.tokens)
                for ids, one in zip(prompts, written, strict=True)
            ],
        }

    def judge(self, stack: DecoderStack, seen: Any) -> Any:
        """What the judge says of the texts.

        Args:
            stack: the judge, a model that is not edited.
            seen: what `look` gave.

        Returns:
            Of every answer the number of its tokens (0 where it is blank), and of those that are
            long enough the negative log-likelihood of the first 20 in nats and their repetition;
            None for the others.
        """
        tokenizer = stack.loaded.tokenizer
        read = [
            _answer(tokenizer, before, text)
            for before, text in zip(self.questions.judged, seen["texts"], strict=True)
        ]
        kept = [i for i, (_, target) in enumerate(read) if len(target) >= SCORED]
        room = stack.loaded.card.context_length - SCORED
        asked = [Continuation(read[i][0][-room:], read[i][1][:SCORED]) for i in kept]
        scored = score(stack, asked) if asked else []
        found: dict[str, list[Any]] = {
            "tokens": [len(target) for _, target in read],
            "nll": [None] * len(read),
            "repetition": [None] * len(read),
        }
        for i, one in zip(kept, scored, strict=True):
            found["nll"][i] = -math.fsum(one.log_probs)
            found["repetition"][i] = repetition(read[i][1][:SCORED])
        return found

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """Perplexities of the answers that are long enough, and the share of those that are not.

        Where none is long enough the perplexities are absent (the paper's "/").
        """
        _, judged = (seen[look] for look in self.looks(edits))
        kept = [
            (nll, repeated)
            for nll, repeated in zip(judged["nll"], judged["repetition"], strict=True)
            if nll is not None
        ]
        left_out = (
            share("answers.short", [float(n < SCORED) for n in judged["tokens"]]),
            share("answers.empty", [float(n == 0) for n in judged["tokens"]]),
        )
        if not kept:
            return (*(absent(name, "perplexity") for name in NAMES), *left_out)
        logs = [log_adjusted(nll, SCORED, repeated) for nll, repeated in kept]
        plain, ones = [nll / SCORED for nll, _ in kept], [1] * len(kept)
        return (
            exp_of_mean(NAMES[0], logs, ones, "perplexity"),
            exp_of_mean(NAMES[1], plain, ones, "perplexity"),
            *left_out,
        )


def _ends(stack: DecoderStack) -> list[int]:
    """The tokens at which transformers' own ``generate`` ends."""
    settings = stack.loaded.model.generation_config
    named: Any = settings.eos_token_id if settings is not None else None
    known = named if isinstance(named, list) else [named]
    return [int(end) for end in (*known, stack.loaded.tokenizer.eos_token_id) if end is not None]


def _new_text(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int], new: Sequence[int]) -> str:
    """What new tokens add to a prompt, with the blank that some tokenizers write between."""
    before, whole = (
        str(tokenizer.decode(list(ids), skip_special_tokens=True))
        for ids in (prompt, (*prompt, *new))
    )
    if whole.startswith(before):
        return whole[len(before) :]
    return str(tokenizer.decode(list(new), skip_special_tokens=True))


def _answer(
    tokenizer: PreTrainedTokenizerBase, before: str, text: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Question and answer as the judge reads them, split where the answer begins.

    Both are tokenized as one text; a token that reaches over the border is the answer's. A blank
    answer has no token.
    """
    alone = plain_tokens(tokenizer, before)
    if not text.strip():
        return alone, ()
    ids = plain_tokens(tokenizer, before + text)
    pairs = zip(ids, alone, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return ids[:shared], ids[shared:]
