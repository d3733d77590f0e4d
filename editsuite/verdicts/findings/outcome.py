"""What a finding is, and what can become of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from editsuite.verdicts.findings.estimate import Interval
from editsuite.verdicts.findings.reading import Readings

#: ``undecided``: the intervals allow both. ``not observed``: what it takes was not looked at.
Verdict = Literal["holds", "fails", "undecided", "not observed"]

#: What one test of significance may not see and still be no loss: a tenth, as in ``claims``.
MARGIN = 0.1
#: The least difference of two shares that counts as one: five points. Section 5.1 calls scores that
#: lie up to 3.1 points apart "comparable" (AX-b after one edit); the losses it tells are larger.
GAP = 0.05


@dataclass(frozen=True)
class Part:
    """One comparison of a finding.

    Attributes:
        name: what is compared, with the settings; the same in every run that can make it.
        verdict: what became of it.
        words: the numbers.
    """

    name: str
    verdict: Verdict
    words: str


@dataclass(frozen=True)
class Outcome:
    """What became of a finding.

    Attributes:
        verdict: of the whole.
        parts: its comparisons.
    """

    verdict: Verdict
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Finding:
    """A claim of the paper.

    Attributes:
        id: its name.
        statement: the claim in a sentence.
        source: table, figure or section.
        test: how it is told, in words, with the margins.
        predicate: the same, over readings of one model (and of those it is compared with).
        model: the paper's model that it is told of, by its card.
        compares: whether it holds the model against others, so that it must see them too.
        printed: what becomes of it on the paper's own numbers.
        remark: why that is not ``holds``, or what the numbers leave open.
    """

    id: str
    statement: str
    source: str
    test: str
    predicate: Callable[[Readings], Outcome]
    model: str = "llama-2-7b"
    compares: bool = False
    printed: Verdict = "holds"
    remark: str = ""


def every(parts: Iterable[Part]) -> Outcome:
    """All parts must hold: one that fails refutes, one that is missing leaves it unobserved."""
    found = tuple(parts)
    verdicts = {part.verdict for part in found}
    order: tuple[Verdict, ...] = ("fails", "not observed", "undecided")
    worst: Verdict = next((verdict for verdict in order if verdict in verdicts), "holds")
    return Outcome(worst if found else "not observed", found)


def borne_out(parts: Iterable[Part]) -> Outcome:
    """Some part must hold and none may fail: many looks at one thing, not all of them sharp."""
    found = tuple(parts)
    verdicts = {part.verdict for part in found}
    order: tuple[Verdict, ...] = ("fails", "holds", "undecided")
    best: Verdict = next((verdict for verdict in order if verdict in verdicts), "not observed")
    return Outcome(best, found)


def at_least(one: Interval, bound: float) -> Verdict:
    """Whether a number surely reaches a bound, or surely does not."""
    if one.low >= bound:
        return "holds"
    return "fails" if one.high < bound else "undecided"


def below(one: Interval, bound: float) -> Verdict:
    """Whether a number surely lies below a bound, or surely does not."""
    if one.high < bound:
        return "holds"
    return "fails" if one.low >= bound else "undecided"


def more(difference: Interval, gap: float, nothing: float = 0.0) -> Verdict:
    """Whether a difference is there: surely above nothing, and as large as counts.

    Args:
        difference: or a quotient, with 1 for ``nothing``.
        gap: the least difference that counts.
        nothing: no difference.

    Returns:
        ``fails`` where it surely does not reach the gap.
    """
    if difference.high < gap:
        return "fails"
    return "holds" if difference.low > nothing and difference.value >= gap else "undecided"


def absent(name: str, what: str) -> Part:
    """A part that was not looked at."""
    return Part(name, "not observed", what)
