"""The option whose sequence is the least surprising."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def least(doc: Mapping[str, Any], scored: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """MMLU: ``acc`` is 1 where the right option's sequence has the least perplexity.

    The perplexity of prompt and option together is ``exp(-(P + l) / (p + n))`` with the prompt's
    log-probability ``P`` and its ``p`` tokens, which all options share, and the option's ``l``
    and ``n``. The options are single capital letters, of one token each, so ``n`` is the same
    too, and the least perplexity is the largest ``l``: the prompt need not be scored. The first
    of equals is the answer.

    Source: paper, appendix B.

    Args:
        doc: the item.
        scored: log-probability of each option after the prompt, in nats, and whether it is the
            greedy continuation.
    """
    log_probs = [log_prob for log_prob, _ in scored]
    return {"acc": float(log_probs.index(max(log_probs)) == doc["answer"])}
