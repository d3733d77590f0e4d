"""GRACE's threshold and layer (appendices C and D.5, Tables 7 and 10)."""

from __future__ import annotations

from collections.abc import Iterator

from editsuite.verdicts.findings.estimate import Estimate, minus, shown
from editsuite.verdicts.findings.outcome import (
    GAP,
    MARGIN,
    Finding,
    Outcome,
    Part,
    Verdict,
    borne_out,
    every,
    more,
)
from editsuite.verdicts.findings.reading import Readings
from editsuite.verdicts.findings.states import mean_of, plain, retained, where
from editsuite.verdicts.tables import Setting


def _states(readings: Readings) -> Readings:
    return plain(readings).of(method="grace", edits=100)


def threshold_trades(readings: Readings) -> Outcome:
    """At each layer, from the smallest threshold to the largest."""
    return every(
        part
        for layer, state in _states(readings).by("layer").items()
        for part in _trade(state, where(layer))
    )


def _trade(state: Readings, place: str) -> Iterator[Part]:
    thresholds = state.values("threshold")
    if len(thresholds) < 2:
        return
    ends = state.of(threshold=thresholds[0]), state.of(threshold=thresholds[-1])
    span = f"{place}, threshold {thresholds[0]:g} to {thresholds[-1]:g}"
    one, other = (end.of("sequential_generalization").sole for end in ends)
    if one and other:
        words = f"generalization {shown(one)} to {shown(other)}"
        yield Part(f"{span}, recall", more(minus(other, one), GAP), words)
    compared = _compared(*ends)
    if compared:
        small, large, many = compared
        words = f"mean retention of {many} capabilities {small} to {large}"
        yield Part(f"{span}, damage", more(minus(small, large), GAP), words)


def _compared(one: Readings, other: Readings) -> tuple[Estimate, Estimate, int] | None:
    """Mean retentions of the capabilities that both states have."""
    first, second = retained(one), retained(other)
    names = [name for name in first if name in second]
    return (mean_of(first, names), mean_of(second, names), len(names)) if names else None


def deeper_is_safer(readings: Readings) -> Outcome:
    """At each threshold, the deepest layer against each other."""
    return borne_out(
        part
        for threshold, state in _states(readings).by("threshold").items()
        for part in _safer(state, threshold)
    )


def _safer(state: Readings, threshold: Setting) -> Iterator[Part]:
    depths = state.values("depth")
    last = state.of(depth=depths[-1]) if depths else state
    for depth in depths[:-1]:
        one = state.of(depth=depth)
        compared = _compared(one, last)
        if compared:
            shallow, deepest, many = compared
            places = " and ".join(where(own.values("layer")[0]) for own in (one, last))
            words = f"mean retention of {many} capabilities {shallow} and {deepest}"
            name = f"threshold {threshold:g}, {places}"
            yield Part(name, _less(shallow, deepest), words)


def _less(shallow: Estimate, deepest: Estimate) -> Verdict:
    """Whether the deepest layer is damaged less; undecided where neither surely is."""
    difference = minus(deepest, shallow)
    verdict = more(difference, GAP)
    harmless = deepest.high >= 1 - MARGIN and difference.high >= 0
    return "undecided" if verdict == "fails" and harmless else verdict


FINDINGS = (
    Finding(
        "threshold-trades-recall-for-damage",
        "A larger threshold of GRACE generalises more and damages more.",
        "Table 7, appendix C",
        "From the smallest threshold to the largest, generalization is surely higher and the "
        "mean retention of the capabilities that both have surely lower, each by 0.05 or more; "
        "at each layer.",
        threshold_trades,
        remark="The number of edits is not told; 100 is taken. The text says that code is "
        "completely damaged; at layer 30 MBPP falls from 18.2 to 16.4 only.",
    ),
    Finding(
        "deeper-grace-is-safer",
        "At the same threshold, GRACE in a deeper layer damages less.",
        "Tables 7 and 10, appendix D.5",
        "The deepest layer's mean retention is surely higher, and by 0.05 or more, than that of "
        "some other layer at some threshold, and nowhere where it is damaged itself surely not.",
        deeper_is_safer,
        remark="The number of edits is not told; 100 is taken. Small differences of Table 7 are "
        "within the noise of their items: there the comparison decides nothing.",
    ),
)
