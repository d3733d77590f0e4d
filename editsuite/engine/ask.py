"""What lm-eval asks of a generation, and the texts the engine gives.

Imported by `editsuite.engine.harness` alone: it needs the extra ``capabilities``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.models import utils as recipes

from editsuite.engine.generation import write
from editsuite.engine.stack import DecoderStack
from editsuite.errors import OptionError, listing

#: New tokens where a task does not say how many (HFLM's own number).
MAX_GEN_TOKS = 256
#: Settings that change nothing at these values.
_NEUTRAL: Mapping[str, object] = {
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "num_beams": 1,
    "num_return_sequences": 1,
    "repetition_penalty": 1.0,
}
#: Settings that change nothing at any value unless tokens are drawn.
_OF_DRAWING = frozenset({"top_k", "top_p", "min_p", "typical_p"})


@dataclass(frozen=True)
class Ask:
    """How one context is to be continued.

    Attributes:
        until: strings that end the new text and are left out of it.
        max_new_tokens: how many tokens to add at most.
        temperature: 0 takes the most likely token.
        top_k: draw among the k most likely tokens only.
    """

    until: tuple[str, ...]
    max_new_tokens: int
    temperature: float
    top_k: int | None

    @classmethod
    def of(cls, settings: Mapping[str, Any], end: str) -> Ask:
        """Read lm-eval's ``gen_kwargs``; ``end`` is the end token's text.

        Raises:
            OptionError: a setting is unknown to the engine, or contradicts another.
        """
        known: dict[str, Any] = dict(recipes.normalize_gen_kwargs(dict(settings), MAX_GEN_TOKS))
        until = recipes.handle_stop_sequences(known.pop("until"), eos=end)
        longest, drawn = known.pop("max_gen_toks"), known.pop("do_sample")
        temperature = float(known.pop("temperature", 0.0))
        if drawn and temperature <= 0:
            raise OptionError(
                f"generation with do_sample needs a temperature above 0, got {temperature}; "
                "mend the task's generation_kwargs"
            )
        top_k = (known.pop("top_k", None) or None) if drawn else None
        foreign = [name for name, value in known.items() if _matters(name, value, drawn)]
        if foreign:
            raise OptionError(
                f"the engine does not know the generation settings {listing(foreign)}; leave "
                "them out of the task's generation_kwargs"
            )
        return cls(tuple(until), longest, temperature if drawn else 0.0, top_k)


def _matters(name: str, value: object, drawn: bool) -> bool:
    if value is None or (name in _OF_DRAWING and not drawn):
        return False
    return name not in _NEUTRAL or value != _NEUTRAL[name]


def seeds_of(requests: Sequence[tuple[str, Mapping[str, Any]]], seed: int) -> list[int]:
    """One seed for each request, from its own content.

    A request that is asked several times draws differently each time: how many of its kind stand
    before it counts too. Neither its place among others nor the limit on new tokens does.

    Args:
        requests: context and settings of each request.
        seed: draws of another seed are independent.

    Returns:
        Numbers below ``2**63``.
    """
    before: Counter[str] = Counter()
    seeds = []
    for context, settings in requests:
        kind = json.dumps([context, settings], sort_keys=True, default=str)
        content = json.dumps([seed, context, before[kind]]).encode()
        before[kind] += 1
        seeds.append(int.from_bytes(hashlib.sha256(content).digest()[:8]) >> 1)
    return seeds


@dataclass(frozen=True)
class Text:
    """What came of one context.

    Attributes:
        text: the new text, up to the first of its stop strings.
        log_prob: of the continuation that was asked about; 0 where none was.
    """

    text: str
    log_prob: float


def new_texts(
    stack: DecoderStack,
    asks: Sequence[Ask],
    prompts: Sequence[Sequence[int]],
    follow: Mapping[int, Sequence[int]],
    seeds: Sequence[int],
    token_budget: int | None,
) -> list[Text]:
    """The new text of each prompt, and the log-probability of what ``follow`` names by index."""
    marks = _marks(stack)
    groups = defaultdict(list)
    for index, ask in enumerate(asks):
        stops = tuple(sorted({marks[text] for text in ask.until if text in marks}))
        groups[ask.max_new_tokens, ask.temperature, ask.top_k, stops].append(index)
    texts: dict[int, Text] = {}
    for (longest, temperature, top_k, stops), members in groups.items():
        written = write(
            stack,
            [prompts[index] for index in members],
            [follow.get(index, ()) for index in members] if follow else (),
            max_new_tokens=longest,
            stop_ids=(*stops, *_end_ids(stack)),
            stop_strings=[asks[index].until for index in members],
            temperature=temperature,
            top_k=top_k,
            seeds=[seeds[index] for index in members],
            token_budget=token_budget,
        )
        for index, one in zip(members, written, strict=True):
            text = _cut(stack, one.tokens, asks[index].until, marks)
            texts[index] = Text(text, one.log_prob)
    return [texts[index] for index in range(len(asks))]


def _marks(stack: DecoderStack) -> dict[str, int]:
    """Tokens that plain decoding leaves out, by their text."""
    added = stack.loaded.tokenizer.added_tokens_decoder.items()
    return {str(token): index for index, token in added if token.special}


def _end_ids(stack: DecoderStack) -> list[int]:
    """The tokens at which transformers' own ``generate`` ends."""
    settings = stack.loaded.model.generation_config
    ends: Any = settings.eos_token_id if settings is not None else None
    known = ends if isinstance(ends, list) else [ends]
    return [int(end) for end in (*known, stack.loaded.tokenizer.eos_token_id) if end is not None]


def _cut(
    stack: DecoderStack, tokens: Sequence[int], until: Sequence[str], marks: Mapping[str, int]
) -> str:
    """Text before the first stop string, those that hold a special token included."""
    tokenizer: Any = stack.loaded.tokenizer
    # The engine looks for stop strings in plain text, where special tokens do not show.
    hidden = [text for text in until if text not in marks and any(m in text for m in marks)]
    ends = (
        end
        for end in range(1, len(tokens) + 1 if hidden else 1)
        if any(text in tokenizer.decode(list(tokens[:end])) for text in hidden)
    )
    plain = tokenizer.decode(list(tokens[: next(ends, None)]), skip_special_tokens=True)
    return str(recipes.postprocess_generated_text(plain, list(until), None))
