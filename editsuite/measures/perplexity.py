"""Perplexity of plain text (paper E.1.2, Tables 12 and 13)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from editsuite.engine import Continuation, score
from editsuite.measures.observation import Observation, exp_of_mean
from editsuite.measures.protocol import Look, View
from editsuite.measures.texts import Texts, plain_tokens, prose


@dataclass(frozen=True)
class Perplexity:
    """``exp`` of the mean negative log-likelihood of a token, over passages.

    The first token of a passage is given, not predicted, unless the tokenizer sets a start token
    before it. Sums run in float64.

    Attributes:
        texts: what is read; None for the built-in prose.
    """

    texts: Texts | None = None
    name: str = "perplexity"

    @property
    def identity(self) -> str:
        """Digest of the passages."""
        if self.texts is not None:
            return self.texts.digest
        return hashlib.sha256(json.dumps(prose()).encode()).hexdigest()

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """The unedited model and the state."""
        return [Look(0), Look(edits)]

    def look(self, view: View) -> Any:
        """Negative log-likelihood (nats) and token count of every passage."""
        tokenizer, limit = view.stack.loaded.tokenizer, view.stack.loaded.card.context_length
        texts = self.texts or Texts("prose", prose())
        limit = min(limit, texts.length or limit)
        ids = [plain_tokens(tokenizer, text)[:limit] for text in texts.passages]
        scored = score(view.stack, [Continuation(i[:1], i[1:]) for i in ids])
        return {
            "nll": [-math.fsum(s.log_probs) for s in scored],
            "tokens": [len(s.log_probs) for s in scored],
        }

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """Perplexity in the state, and its ratio to the unedited model's, pair by pair."""
        before, after = (seen[look] for look in self.looks(edits))
        name = f"perplexity.{self.texts.name if self.texts else 'prose'}"
        gains = [b - a for a, b in zip(before["nll"], after["nll"], strict=True)]
        return (
            exp_of_mean(name, after["nll"], after["tokens"], "perplexity"),
            exp_of_mean(f"{name}_ratio", gains, after["tokens"], "ratio"),
        )
