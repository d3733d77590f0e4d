"""How the edited parameters move (section 7.1, appendix D.2, Figure 6, Table 8)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from editsuite.verdicts.findings.estimate import minus, shown
from editsuite.verdicts.findings.models import TUNED
from editsuite.verdicts.findings.outcome import GAP, Finding, Outcome, Part, Verdict, every, more
from editsuite.verdicts.findings.reading import Readings
from editsuite.verdicts.findings.states import after, deep, most, plain, shallower, where


def correlation_falls(readings: Readings) -> Outcome:
    """At each layer: from the fewest edits to the most, and never surely up between."""
    own = plain(readings).of("similarity", method="rome")
    return every(
        part for layer, state in own.by("layer").items() for part in _falls(state, where(layer))
    )


def _falls(state: Readings, place: str) -> Iterator[Part]:
    series = [one for edits in state.values("edits") if (one := state.of(edits=edits).sole)]
    if len(series) < 2 or most(state.values("edits")) is None:
        return
    steps = [minus(later, sooner) for sooner, later in pairwise(series)]
    risen = any(step.low > 0 for step in steps)
    first, last = series[0], series[-1]
    verdict: Verdict = "fails" if risen else more(minus(first, last), GAP)
    counts = f"{first.settings['edits']} to {last.settings['edits']} edits"
    words = ", ".join(f"{one.value:.3f} after {one.settings['edits']}" for one in series)
    yield Part(f"{place}, {counts}", verdict, words)


def correlation_falls_less_in_deeper_layers(readings: Readings) -> Outcome:
    """Each deep layer against each other, after the most edits that both have."""
    own = plain(readings).of("similarity", method="rome")
    parts = []
    for one_layer, one in shallower(own).by("layer").items():
        for other_layer, other in deep(own).by("layer").items():
            edits = most({*one.values("edits")} & {*other.values("edits")})
            if edits is None:
                continue
            pair = one.of(edits=edits).sole, other.of(edits=edits).sole
            if pair[0] and pair[1]:
                name = f"{where(one_layer)} and {where(other_layer)}, {after(edits)}"
                words = f"{shown(pair[0])} and {shown(pair[1])}"
                parts.append(Part(name, more(minus(pair[1], pair[0]), GAP), words))
    return every(parts)


def chat_moves_less(readings: Readings) -> Outcome:
    """At every number of edits that both have."""
    parts = []
    own = readings.of("similarity", method="rome", usual=1)
    for base, tuned in TUNED:
        for edits in own.of(model=base).values("edits"):
            one = own.of(model=base, edits=edits).sole
            other = own.of(model=tuned, edits=edits).sole
            if one and other:
                name = f"{base} and {tuned}, {after(edits)}"
                words = f"{one.value:.3f} and {other.value:.3f}"
                parts.append(Part(name, more(minus(other, one), 0.0), words))
    return every(parts)


FINDINGS = (
    Finding(
        "correlation-falls",
        "The more edits, the less the edited layer's parameters correlate with what they were.",
        "Table 8, Figure 6, section 7.1",
        "The correlation after the most edits is surely lower than after the fewest, and by 0.05 "
        "or more, and no step between rises surely; for each layer.",
        correlation_falls,
    ),
    Finding(
        "correlation-falls-less-in-deeper-layers",
        "In deeper layers the correlation falls less.",
        "Figure 6, section 7.1",
        "After the most edits that both have, the correlation is surely higher, and by 0.05 or "
        "more, at each deep layer (from 0.6 of the depth on) than at each other.",
        correlation_falls_less_in_deeper_layers,
        printed="not observed",
        remark="Figure 6 prints no numbers, and the text tells none; Table 8 has layer 5 only.",
    ),
    Finding(
        "chat-moves-less",
        "The chat model's parameters always move less.",
        "Table 8, appendix D.2",
        "The correlation is surely higher than the plain model's at every number of edits.",
        chat_moves_less,
        compares=True,
    ),
)
