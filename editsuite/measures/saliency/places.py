"""Where the label words stand among a prompt's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from editsuite.errors import MeasureError
from editsuite.measures.saliency.sentences import LABELS
from editsuite.measures.saliency.shots import Shot

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prompt:
    """A one-shot prompt as tokens.

    Where a tokenizer writes a label word in several tokens, the word's place is the first token in
    which the words differ, and the prompt goes on to the token before it: that is the target
    position, at which the model has to choose. For label words of one token that is the word's
    token and the prompt as it is (Wang et al. 2023).

    Attributes:
        id: of the sentence that is asked about.
        ids: the tokens; the last one is the target position ``q``.
        places: positions ``p_1 ... p_C`` of the demonstrations' label words, ascending.
        labels: the tokens to choose between, in the order of `LABELS`.
        right: which of them is right.
    """

    id: str
    ids: tuple[int, ...]
    places: tuple[int, ...]
    labels: tuple[int, ...]
    right: int


def tokenized(tokenizer: PreTrainedTokenizerBase, shot: Shot) -> Prompt:
    """Tokenize a prompt and find its label words.

    The prompt is tokenized together with each label word behind it, as a model meets them; what
    all these have in common is what the model reads.

    Args:
        tokenizer: a fast one, which tells where in the text its tokens lie.
        shot: the prompt.

    Raises:
        MeasureError: the tokenizer tells no places, or does not write a label word in the same
            tokens of its own wherever it stands, or one label word begins another.
    """
    if not tokenizer.is_fast:
        raise MeasureError(
            f"{type(tokenizer).__name__} does not tell where its tokens lie, so label words cannot "
            "be found; use the model's fast tokenizer (tokenizer.json)"
        )
    written = [_Written.of(tokenizer, shot, f"{shot.text} {word}") for word in LABELS]
    start = len(shot.text) + 1
    spans = [w.tokens(range(start, start + len(word)), word) for w, word in _pairs(written)]
    words = [one.ids[span.start : span.stop] for one, span in zip(written, spans, strict=True)]
    shared = _shared(words)
    end = spans[0].start + shared
    if any(len(word) == shared for word in words):
        raise written[0].odd(f"the tokens {words[0]} and {words[1]} do not tell its words apart")
    if len({one.ids[:end] for one in written}) > 1 or len({span.start for span in spans}) > 1:
        raise written[0].odd("the text before a label word is tokenized by the word behind it")
    places = []
    for span, label in shot.words:
        tokens = written[0].tokens(span, LABELS[label])
        if written[0].ids[tokens.start : tokens.stop] != words[label]:
            raise written[0].odd(f"{LABELS[label]!r} is not the same tokens wherever it stands")
        places.append(tokens.start + shared)
    labels = tuple(word[shared] for word in words)
    return Prompt(shot.id, written[0].ids[:end], tuple(sorted(places)), labels, shot.label)


def _pairs(written: Sequence[_Written]) -> list[tuple[_Written, str]]:
    return list(zip(written, LABELS, strict=True))


def _shared(words: Sequence[Sequence[int]]) -> int:
    return sum(
        1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))
    )


@dataclass(frozen=True)
class _Written:
    """A prompt with a label word behind it, as tokens.

    Attributes:
        shot: the prompt.
        tokenizer: name of its class, for messages.
        ids: the tokens.
        offsets: where each lies in the text; empty for marks that stand for no text.
    """

    shot: Shot
    tokenizer: str
    ids: tuple[int, ...]
    offsets: tuple[range, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, shot: Shot, text: str) -> _Written:
        encoded: Any = tokenizer(text, return_offsets_mapping=True, verbose=False)
        offsets = tuple(range(*pair) for pair in encoded["offset_mapping"])
        return cls(shot, type(tokenizer).__name__, tuple(encoded["input_ids"]), offsets)

    def tokens(self, span: range, word: str) -> range:
        """The tokens that a label word and the blank before it are written in.

        Raises:
            MeasureError: they hold other text as well.
        """
        first, last = span.start - 1, span.stop
        inside = [i for i, o in enumerate(self.offsets) if o and o.start < last and o.stop > first]
        apart = inside and self.offsets[inside[0]].start >= first
        if not apart or self.offsets[inside[-1]].stop > last:
            raise self.odd(f"{word!r} shares a token with what stands beside it")
        return range(inside[0], inside[-1] + 1)

    def odd(self, reason: str) -> MeasureError:
        return MeasureError(
            f"{self.tokenizer}, prompt {self.shot.id}: {reason}; saliency cannot be asked of a "
            "model with this tokenizer, leave its check out"
        )
