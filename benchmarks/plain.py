"""The plain way to evaluate an edited model: transformers alone, one prompt at a time.

The same questions as the suite's measures ask, with whole forward passes, all logits and
``model.generate``. It is what one writes without an engine, and what the suite is held against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.bench import Bench, Side
from editsuite.cards import LoadedModel
from editsuite.facts import EditRequest, TokenizedTarget, target_tokens
from editsuite.measures.locality import ANSWER_TOKENS
from editsuite.measures.perplexity import prose
from editsuite.measures.recall import BEYOND, begins_with


@dataclass(frozen=True)
class Seen:
    """What one prompt gave.

    Attributes:
        forced: the token ranked first at each target position.
        new: ids of the greedy answer.
    """

    forced: list[int]
    new: list[int]


@dataclass(frozen=True)
class Part:
    """One part of an evaluation: its seconds and what was seen."""

    seconds: float
    seen: list[Any]


@torch.no_grad()
def ask_one(loaded: LoadedModel, tokens: TokenizedTarget, new_tokens: int, stop: bool) -> Seen:
    """Teacher-forced ranks and the greedy answer for one prompt."""
    model: Any = loaded.model
    ids = torch.tensor([tokens.ids[:-1]], device=loaded.device)
    logits = model(input_ids=ids).logits[0, len(tokens.context_ids) - 1 :]
    context = ids[:, : len(tokens.context_ids)]
    out = model.generate(
        input_ids=context,
        attention_mask=torch.ones_like(context),
        max_new_tokens=new_tokens,
        min_new_tokens=None if stop else new_tokens,
        do_sample=False,
        eos_token_id=loaded.tokenizer.eos_token_id if stop else None,
        pad_token_id=loaded.tokenizer.pad_token_id,
    )
    return Seen(logits.argmax(dim=-1).tolist(), out[0, context.shape[1] :].tolist())


@torch.no_grad()
def read_one(loaded: LoadedModel, text: str) -> tuple[float, int]:
    """Negative log-likelihood and number of predicted tokens of one passage."""
    model: Any = loaded.model
    limit = loaded.card.context_length
    ids = torch.tensor([loaded.tokenizer(text)["input_ids"][:limit]], device=loaded.device)
    log_probs = torch.log_softmax(model(input_ids=ids).logits[0, :-1].float(), dim=-1)
    picked = log_probs.gather(1, ids[0, 1:, None])[:, 0].double()
    return -float(picked.sum()), picked.numel()


@dataclass(frozen=True)
class Plain:
    """The plain evaluation of a model in its present state.

    Attributes:
        bench: whose clock is used.
        loaded: the model.
        requests: the facts asked about.
    """

    bench: Bench
    loaded: LoadedModel
    requests: Sequence[EditRequest]

    def recall(self) -> dict[str, Part]:
        """Every prompt and every rephrase."""
        asked = {
            "reliability": [(r.prompt, r.target_new) for r in self.requests],
            "generalization": [(r.rephrase, r.target_new) for r in self.requests if r.rephrase],
        }
        return {
            name: self._timed(partial(self._recalled_all, pairs)) for name, pairs in asked.items()
        }

    def _recalled_all(self, pairs: Sequence[tuple[str, str]]) -> list[Any]:
        return [self._recalled(*pair) for pair in pairs]

    def _recalled(self, prompt: str, target: str) -> dict[str, float]:
        tokens = target_tokens(self.loaded.tokenizer, prompt, target)
        seen = ask_one(self.loaded, tokens, len(tokens.target_ids) + BEYOND, stop=True)
        answer = str(self.loaded.tokenizer.decode(seen.new, skip_special_tokens=True))
        hits = sum(a == b for a, b in zip(seen.forced, tokens.target_ids, strict=True))
        return {
            "teacher_forced": hits / len(tokens.target_ids),
            "generated": float(begins_with(answer, target)),
        }

    def locality(self) -> Part:
        """Every locality prompt; to be held against the unedited model's."""
        asked = [
            (r.locality_prompt, r.locality_answer or "the")
            for r in self.requests
            if r.locality_prompt is not None
        ]
        tokenizer = self.loaded.tokenizer

        def work() -> list[Any]:
            tokens = [target_tokens(tokenizer, prompt, answer) for prompt, answer in asked]
            seen = [ask_one(self.loaded, t, ANSWER_TOKENS, stop=False) for t in tokens]
            return [[s.forced, s.new] for s in seen]

        return self._timed(work)

    def reading(self) -> Part:
        """The prose."""
        return self._timed(lambda: [list(read_one(self.loaded, text)) for text in prose()])

    def _timed(self, work: Callable[[], list[Any]]) -> Part:
        return Part(*self.bench.timed(Side(lambda _: work), 0))


def observations(
    recall: dict[str, Part], locality: Part, before: Part, reading: Part
) -> dict[str, float]:
    """The numbers of an evaluation, named as the suite names them."""
    found = {
        f"{part}.sequential.{mode}": _mean([one[mode] for one in held.seen])
        for part, held in recall.items()
        for mode in ("teacher_forced", "generated")
        if held.seen
    }
    if locality.seen:
        forced = [
            _mean([float(a == b) for a, b in zip(old[0], new[0], strict=True)])
            for old, new in zip(before.seen, locality.seen, strict=True)
        ]
        same = [float(o[1] == n[1]) for o, n in zip(before.seen, locality.seen, strict=True)]
        found |= {"locality.teacher_forced": _mean(forced), "locality.generated": _mean(same)}
    total = math.fsum(nll for nll, _ in reading.seen)
    mean = total / sum(count for _, count in reading.seen)
    return {**found, "perplexity.prose": math.exp(mean) if mean < 700 else math.inf}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
