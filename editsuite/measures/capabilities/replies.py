"""Requests of lm-eval, answered by a model in a state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from editsuite.engine.harness import EngineLM


def reply(lm: EngineLM, instances: Sequence[Instance]) -> None:
    """Put the answers into the requests."""
    from editsuite.engine.harness import EngineLM

    left = list(instances)
    if isinstance(lm, EngineLM):
        left = _reply_together(lm, instances)
    for kind in sorted({instance.request_type for instance in left}):
        own = [instance for instance in left if instance.request_type == kind]
        for instance, answer in zip(own, getattr(lm, kind)(own, disable_tqdm=True), strict=True):
            instance.resps, instance.filtered_resps = [answer], {}


def _reply_together(lm: EngineLM, instances: Sequence[Instance]) -> list[Instance]:
    """Have texts written, and right answers scored behind the same contexts; gives what is left."""
    written = [one for one in instances if one.request_type == "generate_until"]
    waiting: dict[str, list[Instance]] = defaultdict(list)
    others = []
    for one in instances:
        if one.request_type == "loglikelihood":
            waiting[one.args[0]].append(one)
        elif one.request_type != "generate_until":
            others.append(one)
    behind = [waiting[one.args[0]].pop() if waiting[one.args[0]] else None for one in written]
    continuations = [None if one is None else one.args[1] for one in behind]
    texts, scores = lm.generate_and_score(written, continuations)
    left = [*others, *(one for rest in waiting.values() for one in rest)]
    for instance, text, right, log_prob in zip(written, texts, behind, scores, strict=True):
        instance.resps, instance.filtered_resps = [text], {}
        if right is not None and log_prob is None:
            left.append(right)
        elif right is not None:
            # Whether greedy decoding would give it is not looked at.
            right.resps, right.filtered_resps = [(log_prob, False)], {}
    return left
