"""Answers to problems of mathematics: found in a solution, and brought to one form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_BOX = re.compile(r"\\f?box(?:ed)?\s*")
_SAID = re.compile(r"answer\s+is:?\s*", re.IGNORECASE)
_FORMULA = re.compile(r"\$+((?:[^$\\]|\\.)*)", re.DOTALL)
_BESIDE = re.compile(
    r"\\left(?![a-z])|\\right(?![a-z])|(?<!\\)\\[!,;: ]|\\[()\[\]]|(?<!\\)\\\$|\$|~|\\quad"
)
_TEXT = r"\\(?:text|mbox|mathrm|textbf|textrm|mathbf)\s*\{([^{}]*)\}"
_NAMED = re.compile(r"^[a-zA-Z](?:_\{?\w\}?|')?\s*(?:=|\\in(?![a-z]))")
_UNIT_WORDS = re.compile(r"(?<=\d) (?:[a-zA-Z]{2,}\.?\s*)+(?:\^\{?\d\}?)?$")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
#: In this order: what is replaced, and by what.
_FORMS = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\s+", ""),
        (r"\{,\}", ","),
        (r"\\?%", ""),
        (r"\^\{?\\circ\}?|\\degree|°", ""),
        (r"\\[dtc]frac", r"\\frac"),
        (r"\\frac(\d)(\d)", r"\\frac{\1}{\2}"),
        (r"\\frac(\w)\{", r"\\frac{\1}{"),
        (r"(\\frac\{[^{}]*\})(\w)", r"\1{\2}"),
        (r"\\sqrt(\w)", r"\\sqrt{\1}"),
        (r"\\frac\{-(\w+)\}", r"-\\frac{\1}"),
        (r"([\^_])\{(\w)\}", r"\1\2"),
        (r"(?<![\d.])\.(?=\d)", "0."),
        (r"^(-?)(\d+)/(\d+)$", r"\1\\frac{\2}{\3}"),
        (r"^(-?)0\.50*$", r"\1\\frac{1}{2}"),
    )
)


def boxed(solution: str) -> str | None:
    """What stands in the last box of a solution; None where there is none, or it does not close.

    A box is ``\\boxed{...}`` or ``\\fbox{...}`` with braces that match, or ``\\boxed`` before one
    bare sign.
    """
    boxes = list(_BOX.finditer(solution))
    if not boxes:
        return None
    rest, depth = solution[boxes[-1].end() :], 0
    if not rest.startswith("{"):
        return rest[:1].strip() or None
    for place, sign in enumerate(rest):
        escaped = place > 0 and rest[place - 1] == "\\"
        depth += 0 if escaped else {"{": 1, "}": -1}.get(sign, 0)
        if depth == 0:
            return rest[1:place]
    return None


def answer_in(reply: str) -> str | None:
    """The answer that a written solution gives; None where it gives none.

    It is what follows the first "answer is": up to the second ``$`` where it begins with one,
    else up to the end of the sentence or line. Without these words it is what stands in the last
    box.
    """
    said = _SAID.search(reply)
    if said is None:
        return boxed(reply)
    rest = reply[said.end() :]
    formula = _FORMULA.match(rest)
    found = formula[1] if formula else re.split(r"\.(?:\s|$)|\n", rest, maxsplit=1)[0]
    inner = boxed(found)
    return (found if inner is None else inner).strip() or None


def normalised(answer: str) -> str:
    """An answer in the one form in which two ways to write it are the same text.

    Marks that change no value go: blanks, dollar signs, ``\\left``, degrees, per cent, units
    behind a number, the name before an equals sign, the last full stop, commas between
    thousands. Fractions and roots get their braces, ``a/b`` of whole numbers becomes a
    fraction, and "and" between answers a comma. Nothing is computed, except that 0.5 is a half:
    2/4 is not 1/2, since problems ask for a reduced form.

    Source: the rules of Hendrycks et al. (2021) and of Lewkowycz et al. (2022, appendix D), which
    the paper's evaluation follows, restated; cases stand in the tests.
    """
    text = _BESIDE.sub(lambda found: " " if found[0] in ("~", "\\ ", "\\quad") else "", answer)
    text = re.sub(r"\\text\s*\{\s*(?:and|or)\s*\}|\s(?:and|or)\s", ",", text).strip()
    text = _without_units(text)
    text = re.sub(_TEXT, r"\1", text).strip().rstrip(".").strip()
    text = _UNIT_WORDS.sub("", text)
    text = _NAMED.sub("", text)
    for pattern, new in _FORMS:
        text = pattern.sub(new, text)
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text


def _without_units(text: str) -> str:
    """The last text in braces is a unit where a value stands before it."""
    unit = re.search(rf"(?<=[\d}})\]])\s*{_TEXT}(?:\^\{{?\d\}}?)?\s*\.?$", text)
    return text[: unit.start()] if unit else text


def solved(doc: Mapping[str, Any], replies: Sequence[str]) -> dict[str, float]:
    """MATH: ``exact_match`` is 1 where the answers are the same after normalisation."""
    answer = answer_in(replies[0])
    same = answer is not None and normalised(answer) == normalised(doc["answer"])
    return {"exact_match": float(same)}
