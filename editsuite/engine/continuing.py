"""Rows that are continued together until each has ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from torch import Tensor

from editsuite.engine.decoding import Decoding
from editsuite.engine.draft import drafts
from editsuite.engine.prefill import Filled
from editsuite.engine.row import Row
from editsuite.engine.stack import DecoderStack

#: Most rows that are continued together.
ROWS = 256


def continued(
    stack: DecoderStack,
    waiting: Iterator[tuple[list[Row], Filled]],
    prompts: Mapping[int, Sequence[int]],
    held: int,
) -> Iterator[Row]:
    """Rows as they end; others take their place while there is room.

    Args:
        stack: the model in its present state.
        waiting: prompts that were run, with their rows; taken when there is room.
        prompts: token ids by index.
        held: tokens whose keys and values may be held.
    """
    decoding = Decoding(stack)
    rows: list[Row] = []
    ahead = next(waiting, None)
    while ahead is not None or rows:
        while ahead is not None and _fits(decoding, rows, ahead, held):
            new, part = ahead
            _take(stack, new, stack.logits(part.last)[:, None], [()] * len(new))
            yield from (row for row in new if row.done)
            left = [place for place, row in enumerate(new) if not row.done]
            if left:
                decoding.join(part, left)
                rows += [new[place] for place in left]
            ahead = next(waiting, None)
        if not rows:
            continue
        texts = [[*prompts[row.index], *row.new] for row in rows]
        room = min(row.most - len(row.new) for row in rows) - 1 if stack.ways.guess_repeats else 0
        guessed = drafts(texts, room)
        asked = [(row.new[-1], *guess) for row, guess in zip(rows, guessed, strict=True)]
        logits = stack.logits(decoding.step(asked))
        decoding.settle(_take(stack, rows, logits, guessed))
        yield from (row for row in rows if row.done)
        left = [place for place, row in enumerate(rows) if not row.done]
        if len(left) < len(rows):
            rows = [rows[place] for place in decoding.keep(left)]


def _fits(
    decoding: Decoding, rows: Sequence[Row], ahead: tuple[list[Row], Filled], held: int
) -> bool:
    new, part = ahead
    number = len(rows) + len(new)
    return not rows or (number <= ROWS and decoding.held_with(part, len(new)) <= held)


def _take(
    stack: DecoderStack,
    rows: Sequence[Row],
    logits: Tensor,
    guessed: Sequence[Sequence[int]],
) -> list[int]:
    """Take up what the model says; how many of the tokens that were run each row keeps."""
    tokens: Sequence[Iterable[int]]
    if rows[0].temperature == 0:
        tokens = logits.argmax(dim=-1).tolist()
    else:  # drawn when asked for, so that no draw is spent on a guess
        tokens = [map(row.drawn, own) for row, own in zip(rows, logits, strict=True)]
    return [
        row.take(stack, own, guess) for row, own, guess in zip(rows, tokens, guessed, strict=True)
    ]
