"""The engine as a model of lm-eval, so that any of its tasks runs on any state.

What is asked of the model is, token for token, what lm-eval's own ``HFLM`` (0.4.13) asks at batch
size 1: the same split of context and continuation, the same windows, the same truncation. lm-eval
is an optional extra, so nothing else of the suite imports this module.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from editsuite.engine.scoring import Continuation, score
from editsuite.engine.stack import DecoderStack
from editsuite.errors import MeasureError

try:
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    from editsuite.engine.ask import MAX_GEN_TOKS, Ask, new_texts, seeds_of
    from editsuite.engine.tokenized import TokenizedLM
except ImportError as error:
    raise MeasureError(
        f"lm-eval's tasks need the extra `capabilities`, which cannot be imported ({error}); "
        "run `pip install 'editsuite[capabilities]'`"
    ) from error


class EngineLM(TokenizedLM):
    """A model in its present state, for ``lm_eval.simple_evaluate(model=EngineLM(stack))``.

    It differs from ``HFLM`` where the engine does: log-probabilities are float32 whatever the
    model's dtype, draws come from seeds of their own, and what a checkpoint's
    ``generation_config`` would add (a repetition penalty, top-k) is not applied.

    Args:
        stack: the model.
        max_length: most tokens of one pass; the card's context length where None.
        add_bos_token: whether to put special tokens around a text; the tokenizer's habit where
            None.
        prefix_token_id: what stands in for an empty context; BOS, else EOS, where None.
        seed: draws of another seed are independent.
        token_budget: rows times width of one forward pass; the stack's where None.
        chat_template_args: more arguments for the tokenizer's chat template.
    """

    def __init__(
        self,
        stack: DecoderStack,
        *,
        max_length: int | None = None,
        add_bos_token: bool | None = None,
        prefix_token_id: int | None = None,
        seed: int = 0,
        token_budget: int | None = None,
        chat_template_args: Mapping[str, Any] | None = None,
    ) -> None:
        loaded = stack.loaded
        super().__init__(
            loaded.tokenizer,
            loaded.card.name,
            max_length or loaded.card.context_length,
            add_bos_token=add_bos_token,
            prefix_token_id=prefix_token_id,
            chat_template_args=chat_template_args,
        )
        self.stack = stack
        self.max_gen_toks = MAX_GEN_TOKS
        self._seed = seed
        self._token_budget = token_budget

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.stack.device

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: object
    ) -> list[tuple[float, bool]]:
        asked = [self._continuation(*request) for request in requests]
        scored = score(self.stack, asked, token_budget=self._token_budget)
        answers = []
        for (texts, *_rest), item, found in zip(requests, asked, scored, strict=True):
            answers.append((float(sum(found.log_probs)), found.predicted == item.target))
            if texts is not None:  # a window of a longer text has none
                self.cache_hook.add_partial("loglikelihood", texts, answers[-1])
        return answers

    def _continuation(self, texts: object, context: list[int], target: list[int]) -> Continuation:
        if not context or not 0 < len(target) <= self.max_length:
            raise MeasureError(
                f"lm-eval's request {reprlib.repr(texts)} is {len(target)} tokens after "
                f"{len(context)}; model {self.stack.loaded.card.name!r} can score 1 to "
                f"{self.max_length} after at least 1: mend the task's document, or max_length"
            )
        window = (context + target)[-(self.max_length + 1) :]
        return Continuation(tuple(window[: -len(target)]), tuple(target))

    def loglikelihood(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether greedy decoding would give it.

        Raises:
            MeasureError: a request has no continuation, one longer than ``max_length``, or a
                context that holds nothing but white space.
        """
        for request in requests:
            if not request.args[1]:
                self._continuation(request.args, self.tok_encode(request.args[0]), [])
        answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm)
        return answers

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-probability of each whole text, window by window of ``max_length`` tokens."""
        windows = [
            (index, (None, *make_disjoint_window(window)))
            for index, request in enumerate(requests)
            for window in get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
        ]
        answers = self._loglikelihood_tokens([window for _, window in windows])
        totals = [0.0] * len(requests)
        for (index, _), (log_prob, _) in zip(windows, answers, strict=True):
            totals[index] += log_prob
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """New text for each context, up to the first of its stop strings.

        Raises:
            OptionError: a generation setting is unknown, or leaves no room for the context.
        """
        texts, _ = self.generate_and_score(requests, [None] * len(requests))
        return texts

    def generate_and_score(
        self, requests: Sequence[Any], continuations: Sequence[str | None]
    ) -> tuple[list[str], list[float | None]]:
        """What `generate_until` gives, and log-probabilities of continuations besides.

        A context is run once for both.

        Args:
            requests: as for `generate_until`.
            continuations: for each request a text behind the same context, or None.

        Returns:
            The new texts; and for each continuation what `loglikelihood` gives, or None where
            that reads other tokens than the text is written behind: it must then be asked.

        Raises:
            OptionError: a generation setting is unknown, or leaves no room for the context.
        """
        end = self.tok_decode([self.eot_token_id], skip_special_tokens=False)
        asked = [request.args for request in requests]
        asks = [Ask.of(settings, end) for _, settings in asked]
        prompts = [
            self.prompt(context, ask.max_new_tokens)
            for (context, _), ask in zip(asked, asks, strict=True)
        ]
        follow = {
            index: target
            for index, text in enumerate(continuations)
            if text and (target := self.behind(asked[index][0], text, prompts[index]))
        }
        seeds = seeds_of(asked, self._seed)
        found = new_texts(self.stack, asks, prompts, follow, seeds, self._token_budget)
        for args, one in zip(asked, found, strict=True):
            self.cache_hook.add_partial("generate_until", args, one.text)
        scores = [one.log_prob if i in follow else None for i, one in enumerate(found)]
        return [one.text for one in found], scores
