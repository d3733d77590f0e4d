"""Guesses at how a text goes on, from the text itself."""

from __future__ import annotations

from collections.abc import Sequence

#: A text that said the same for this many tokens is taken to go on so.
REPEATED = 12
#: Tokens back in which a repetition is looked for.
REACH = 256
#: Tokens of all rows in one step with guesses: from there on a step takes longer by the token.
STEP = 96
#: Most guesses of one row, the token before them counted.
MOST = 16
#: One row in so many must repeat itself for guesses to pay.
PAYS = 3


def guesses(text: Sequence[int], number: int) -> tuple[int, ...] | None:
    """How a text that repeats itself goes on, or None where it does not.

    The last `REPEATED` tokens stood in the text before; what followed them there is the guess,
    and begins again where it reaches the end.
    """
    end = len(text)
    tail = text[end - REPEATED :]
    if end <= REPEATED:
        return None
    for back in range(1, min(REACH, end - REPEATED) + 1):
        if text[end - 1 - back] == tail[-1] and text[end - REPEATED - back : end - back] == tail:
            return tuple(text[end - back + i % back] for i in range(number))
    return None


def drafts(texts: Sequence[Sequence[int]], most: int) -> list[tuple[int, ...]]:
    """Guesses for the rows of one step, equally many for each; none unless they pay.

    Every row is run for as many tokens as the others, so enough of them must repeat themselves. A
    row that does not is given guesses that will be thrown away.

    Args:
        texts: the rows' tokens, those of their prompts included.
        most: guesses of one row at most: no row may run past the end it is given.
    """
    number = min(MOST - 1, STEP // max(1, len(texts)) - 1, most)
    if number < 1:
        return [()] * len(texts)
    found = [guesses(text, number) for text in texts]
    if PAYS * sum(guess is not None for guess in found) < len(found):
        return [()] * len(texts)
    return [(0,) * number if guess is None else guess for guess in found]
