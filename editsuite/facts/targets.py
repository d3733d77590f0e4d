"""Target tokens, and the subject's last token, as the model will see them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from editsuite.errors import FactError
from editsuite.facts.request import subject_span

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TokenizedTarget:
    """A prompt with its answer, split where the answer begins.

    Attributes:
        context_ids: token ids before the answer, with the tokenizer's own front marks (BOS).
        target_ids: token ids of the answer; at least one.
        text: the text that was tokenized.
    """

    context_ids: tuple[int, ...]
    target_ids: tuple[int, ...]
    text: str

    @property
    def ids(self) -> tuple[int, ...]:
        """Context and target ids, in the order in which the model reads them."""
        return self.context_ids + self.target_ids


def target_tokens(tokenizer: PreTrainedTokenizerBase, prompt: str, target: str) -> TokenizedTarget:
    """Tokenize a prompt with its answer and tell which tokens are the answer's.

    The whole text, prompt and target with one space between, is tokenized at once, as a model
    meets it in real text, and the target is what remains after the longest prefix it shares with
    the prompt tokenized alone. Tokenizing the target by itself is wrong for SentencePiece (a
    doubled space) and adds a second BOS. Where a tokenizer merges across the space, the merged
    token belongs to the target.

    Args:
        tokenizer: any tokenizer of transformers, fast or slow.
        prompt: the prompt; white space at its end is dropped.
        target: the answer; white space around it is dropped.

    Returns:
        Context and target ids. No mark that the tokenizer appends (EOS, SEP) is in either.

    Raises:
        FactError: the prompt or the target is blank, the tokenizer has no token for the target,
            or only a special one (unknown, end of text, ...), which no edit should teach.
    """
    start, answer = prompt.rstrip(), target.strip()
    if not start or not answer:
        raise FactError(f"prompt {prompt!r} or target {target!r} is empty; give both some text")
    text = f"{start} {answer}"
    ids, alone = token_ids(tokenizer, text), token_ids(tokenizer, start)
    shared = _shared(ids, alone)
    _refuse_unwritable(tokenizer, ids[shared:], f"target {target!r} after prompt {prompt!r}")
    return TokenizedTarget(ids[:shared], ids[shared:], text)


def token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Ids of a text with the tokenizer's marks in front and without those it puts behind."""
    encoded = tokenizer(text, return_special_tokens_mask=True, verbose=False)
    ids, marks = list(encoded["input_ids"]), list(encoded["special_tokens_mask"])
    while marks and marks[-1]:
        marks.pop()
    return tuple(ids[: len(marks)])


def subject_last_token(tokenizer: PreTrainedTokenizerBase, text: str, subject: str) -> int:
    """Index, in the ids of a text, of the last token with a part of the subject in it.

    The occurrence is the one of `subject_span`. The index counts the tokenizer's front marks
    (BOS), as the model does. Whether a token's offsets include the space before it makes no
    difference: only the end of the subject is looked for.

    Args:
        tokenizer: any tokenizer of transformers; a fast one gives offsets, a slow one is asked
            for the tokens of the text up to the subject's end.
        text: the text as the model will read it.
        subject: the subject, verbatim in the text.

    Raises:
        FactError: the subject is blank, not in the text, or the tokenizer drops it.
    """
    start, end = subject_span(text, subject)
    end = start + len(text[start:end].rstrip())
    start = end - len(text[start:end].lstrip())
    if tokenizer.is_fast:
        index = _last_by_offsets(tokenizer, text, start, end)
    else:
        index = _last_by_prefix(tokenizer, text, start, end)
    if index is None:
        raise FactError(
            f"{type(tokenizer).__name__} gives no token for the subject {subject!r} in {text!r}; "
            "choose a subject that the tokenizer can write"
        )
    return index


def _refuse_unwritable(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], target: str) -> None:
    if not ids:
        raise FactError(
            f"{target} gives no token in {type(tokenizer).__name__}; "
            "choose a target that the tokenizer can write"
        )
    for token in set(tokenizer.all_special_ids).intersection(ids):
        raise FactError(
            f"{target} becomes the special token {tokenizer.convert_ids_to_tokens(token)}; "
            "choose a target that the tokenizer writes with plain tokens"
        )


def _last_by_offsets(
    tokenizer: PreTrainedTokenizerBase, text: str, start: int, end: int
) -> int | None:
    encoded = tokenizer(
        text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False
    )
    offsets: list[tuple[int, int]] = list(encoded["offset_mapping"])
    marks: list[int] = list(encoded["special_tokens_mask"])
    inside = [
        index
        for index, ((left, right), mark) in enumerate(zip(offsets, marks, strict=True))
        if not mark and left < end and right > start
    ]
    return inside[-1] if inside else None


def _last_by_prefix(
    tokenizer: PreTrainedTokenizerBase, text: str, start: int, end: int
) -> int | None:
    ids, head = token_ids(tokenizer, text), token_ids(tokenizer, text[:end])
    if head == token_ids(tokenizer, text[:start].rstrip()):
        return None
    if ids[: len(head)] == head:
        return len(head) - 1
    # The tokens run over the subject's end: take the first at which all of it has been written.
    wanted = _visible(text[:end])
    for index in range(len(ids)):
        written = tokenizer.decode(list(ids[: index + 1]), skip_special_tokens=True)
        if _visible(str(written)) >= wanted:
            return index
    return None


def _visible(text: str) -> int:
    # Decoders differ in spaces, and write a replacement mark for a character not yet complete.
    whole = unicodedata.normalize("NFC", text).rstrip("\ufffd")
    return sum(not char.isspace() for char in whole)


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    pairs = zip(left, right, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
