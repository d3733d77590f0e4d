"""Weak spots: the single edits that did the damage.

A model that breaks under a hundred edits breaks evenly, or at one of them: the *disabling edits*
of later work (Gupta et al. 2024, arXiv 2401.07453; Yang et al. 2024, arXiv 2402.09656). So the
model is looked at after every edit, by the cheapest look that shows damage: the log-likelihood
of some plain prose (perplexity follows the damage of whole benchmarks, arXiv 2402.09656).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from editsuite.engine import Continuation, score
from editsuite.measures.jumps import LEAST_STEPS, Array, Rule, jumps, robust_z
from editsuite.measures.observation import Observation, Z, exact, exp_of_mean
from editsuite.measures.protocol import Look, View
from editsuite.measures.texts import prose

#: Passages read in every state, spread over all there are, and how many tokens of each.
PASSAGES, TOKENS = 12, 32


def excerpts() -> tuple[str, ...]:
    """The passages that are read in every state."""
    texts = prose()
    every = max(1, len(texts) // PASSAGES)
    return texts[::every][:PASSAGES]


@dataclass(frozen=True)
class Damage:
    """What each edit did to the reading of plain prose.

    Attributes:
        steps: ``[T]``, the rise of the mean negative log-likelihood, nats a token.
        lows: ``[T]``, lower end of its 95 % interval over passages, the same before and after.
        levels: ``[T]``, what has come together so far.
        z: ``[T]``, how far the step stands out (``jumps.robust_z``).
    """

    steps: Array
    lows: Array
    levels: Array
    z: Array

    @classmethod
    def of(cls, nll: Sequence[Sequence[float]], tokens: Sequence[int]) -> Damage:
        """From the passages' negative log-likelihoods in the states 0 to T.

        Args:
            nll: ``[T + 1][passages]``, summed over a passage's tokens, in nats.
            tokens: of each passage.
        """
        sums, weights = np.asarray(nll, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
        # A model that says NaN of a passage has lost it: what it says is taken for impossible.
        sums = np.where(np.isnan(sums), np.inf, sums)
        means = sums.sum(axis=1) / weights.sum()
        with np.errstate(invalid="ignore"):  # from infinity to infinity is no number
            steps, gains = np.diff(means), np.diff(sums, axis=0)
            lows = steps - Z * _errors(gains, steps, weights)
            levels = means[1:] - means[0]
        return cls(steps, lows, levels, robust_z(steps.tolist()))

    def jumps(self, rule: Rule | None = None) -> list[int]:
        """Edits that stand out, from 0."""
        return jumps(self.steps.tolist(), self.lows.tolist(), rule)

    @property
    def worst(self) -> int:
        """The edit with the largest rise, from 0; the first one of equals."""
        return int(np.argmax(np.where(np.isnan(self.steps), -np.inf, self.steps)))


def _errors(gains: Array, steps: Array, weights: Array) -> Array:
    """Standard errors ``[T]`` of ratios over passages; source: ``observation.exp_of_mean``."""
    k = len(weights)
    if k < 2:
        return np.full(len(steps), np.inf)
    off = gains - steps[:, None] * weights
    return np.asarray(np.sqrt(k / (k - 1) * (off**2).sum(axis=1)) / weights.sum())


@dataclass(frozen=True)
class Weakspots:
    """The edit that did most, and how many stand out.

    The cost: one look at every state, 12 passages of 32 tokens; about a thirtieth of what
    ``perplexity`` reads.
    """

    name: str = "weakspots"

    @property
    def identity(self) -> str:
        """Digest of the passages."""
        return hashlib.sha256(json.dumps([excerpts(), TOKENS]).encode()).hexdigest()

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """Every state, from the unedited model on."""
        return [Look(at) for at in range(0, edits + 1, batch)]

    def look(self, view: View) -> Any:
        """Negative log-likelihood and token count of every passage's beginning."""
        tokenizer, limit = view.stack.loaded.tokenizer, view.stack.loaded.card.context_length
        ids = [tuple(tokenizer(t)["input_ids"])[: min(limit, TOKENS + 1)] for t in excerpts()]
        scored = score(view.stack, [Continuation(i[:1], i[1:]) for i in ids])
        return {
            "nll": [-math.fsum(s.log_probs) for s in scored],
            "tokens": [len(s.log_probs) for s in scored],
        }

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """The worst edit's factor on perplexity; the number of jumps, where it can be told.

        The interval is that of one edit, over passages; that it was chosen for being the
        largest of all is not in it.
        """
        states = [seen[look] for look in self.looks(edits, batch)]
        if len(states) < 2:
            return ()  # no edit, so none that was worst
        tokens = states[0]["tokens"]
        damage = Damage.of([state["nll"] for state in states], tokens)
        at = damage.worst
        gains = [b - a for a, b in zip(states[at]["nll"], states[at + 1]["nll"], strict=True)]
        found = [exp_of_mean("weakspots.worst_edit", gains, tokens, "ratio")]
        if len(damage.steps) >= LEAST_STEPS:
            number = len(damage.jumps())
            found.append(exact("weakspots.jumps", number, len(damage.steps), "count"))
        return tuple(found)
