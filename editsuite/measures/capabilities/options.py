"""Which option a written answer names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: AX-b's options: whether the first sentence entails the second.
YES, NO = "A", "B"
_WORDS = {"yes": YES, "no": NO}
_LETTERS = "ABCDEFGH"


def option_in(reply: str, letters: str, words: Mapping[str, str] | None = None) -> str | None:
    """The option that stands first in a reply; None where none does.

    A letter counts where it stands in upper case with no Latin letter, digit or apostrophe beside
    it. An ``A`` before a blank and a lower-case word is the article and does not count. A word
    counts in any case where it stands by itself. Nothing else of the reply matters, so what a
    base model writes after its answer does no harm.

    Args:
        reply: what the model wrote.
        letters: the options' letters.
        words: words that mean an option, in lower case.
    """
    apart = r"(?<![A-Za-z0-9'\u2019])", r"(?![A-Za-z0-9'\u2019])"
    named = "|".join(map(re.escape, words or ()))
    kinds = [rf"(?!A [a-z])[{letters}]", *([rf"(?i:{named})"] if named else [])]
    found = re.search(apart[0] + f"(?:{'|'.join(kinds)})" + apart[1], reply)
    if found is None:
        return None
    return (words or {}).get(found[0].lower(), found[0])


def entailment(doc: Mapping[str, Any], replies: Sequence[str]) -> dict[str, float]:
    """AX-b: ``acc`` is 1 where the option named first is the right one; no option is wrong."""
    right = (YES, NO)[doc["label"]]
    return {"acc": float(option_in(replies[0], YES + NO, _WORDS) == right)}


def chosen(doc: Mapping[str, Any], replies: Sequence[str]) -> dict[str, float]:
    """C3: ``acc`` is 1 where the option named first is the right one; no option is wrong."""
    letters = _LETTERS[: len(doc["choice"])]
    return {"acc": float(option_in(replies[0], letters) == right_letter(doc))}


def right_letter(doc: Mapping[str, Any]) -> str:
    """C3: the letter of the right option."""
    return _LETTERS[doc["choice"].index(doc["answer"])]


def first_token(doc: Mapping[str, Any], replies: Sequence[str]) -> dict[str, float]:
    """CommonsenseQA: ``acc`` is 1 where the one new token is the right letter and nothing else.

    Blanks around the letter belong to some tokenizers' tokens and do not count.

    Source: paper, section 7.3 and appendix D.3 ("the first token of the generated sequence is
    treated as the final prediction").
    """
    return {"acc": float(replies[0].strip() == doc["answerKey"])}
