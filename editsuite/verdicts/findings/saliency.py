"""The pattern of attention in in-context learning (section 7.3, appendices E.2 and F.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from editsuite.verdicts.findings.estimate import Estimate, minus, shown
from editsuite.verdicts.findings.outcome import (
    MARGIN,
    Finding,
    Outcome,
    Part,
    Verdict,
    at_least,
    every,
    more,
)
from editsuite.verdicts.findings.reading import Readings
from editsuite.verdicts.findings.states import (
    END,
    after,
    deep,
    middle,
    most,
    plain,
    shallow,
    where,
)

#: Where information gathers in label words, and where it is drawn from them (appendix E.2: layers
#: 0 to 5 of 32, and those from 6 on; in Table 14 layers 0 and 5 of 48, and those from 10 on).
GATHERS, DRAWN = 0.17, 0.19


def _pattern(state: Readings, name: str) -> Part | None:
    """Whether the flow to the labels leads before, and that from them after."""
    before = state.within("attention_depth", 0, GATHERS)
    behind = state.within("attention_depth", DRAWN, END)
    means = [_mean(side.of(flow)) for side in (before, behind) for flow in ("s_wp", "s_qp")]
    if None in means:
        return None
    to_first, from_first, to_later, from_later = (one for one in means if one is not None)
    leads = minus(to_first, from_first), minus(from_later, to_later)
    words = f"s_wp leads by {leads[0]} before, s_qp by {leads[1]} after"
    return Part(name, _all(more(lead, 0.0) for lead in leads), words)


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    found = {*verdicts}
    order: tuple[Verdict, ...] = ("fails", "undecided")
    return next((one for one in order if one in found), "holds")


def _mean(layers: Readings) -> Estimate | None:
    """Over layers. All saw the same items, so their errors may add up: the ends are averaged."""
    if not layers:
        return None
    sides = [(one.value, one.low, one.high) for one in layers]
    return Estimate(*(math.fsum(side) / len(layers) for side in zip(*sides, strict=True)))


def _likeness(state: Readings, name: str) -> Part | None:
    """Whether both curves over the layers are like the unedited model's."""
    curves = [state.of(f"{flow}.likeness").sole for flow in ("s_wp", "s_qp")]
    found = [one for one in curves if one is not None]
    if len(found) < 2:
        return None
    verdict = _all(at_least(one, 1 - MARGIN) for one in found)
    words = f"correlation with the unedited model's curves: {', '.join(map(shown, found))}"
    return Part(name, verdict, words)


def pattern_outlives_edits(readings: Readings) -> Outcome:
    """After 1000 edits, wherever the model was edited."""
    state = plain(readings).of("s_wp", "s_qp", method="rome", edits=1000)
    layers = [(where(layer), own) for layer, own in state.by("layer").items()]
    found = [_pattern(own, name) for name, own in layers or [("layer not told", state)]]
    return every(part for part in found if part is not None)


def pattern_breaks_in_the_middle(readings: Readings) -> Outcome:
    """Kept by shallow and deep edits, broken by middle ones; after the most edits that all have."""
    flows = ("s_wp.likeness", "s_qp.likeness")
    own = plain(readings).of(method="rome")
    own = own.of(*flows) or own.of("s_wp", "s_qp")
    edits = most(own.common("edits", "layer"))
    state = own.of(edits=edits) if edits is not None else Readings()
    if edits is None or not (middle(state) and (shallow(state) or deep(state))):
        return every([])
    parts = []
    for layer, one in state.by("layer").items():
        name = f"{where(layer)}, {after(edits)}"
        part = _likeness(one, name) or _pattern(one, name)
        if part is not None:
            parts.append(_turned(part) if middle(one) else part)
    return every(parts)


def _turned(part: Part) -> Part:
    opposite: dict[Verdict, Verdict] = {"holds": "fails", "fails": "holds"}
    return Part(f"{part.name}, broken", opposite.get(part.verdict, part.verdict), part.words)


FINDINGS = (
    Finding(
        "pattern-breaks-in-the-middle",
        "Edits of shallow and deep layers keep that pattern, edits of middle layers break it.",
        "Figure 8, section 7.3, appendix E.2",
        "After the most edits that all layers have, the curves of s_wp and s_qp over the layers "
        "correlate with the unedited model's at 0.9 or above where shallow or deep layers were "
        "edited, and below where middle ones were. Without those correlations: s_wp leads in the "
        "first layers and s_qp in the later ones, or does not.",
        pattern_breaks_in_the_middle,
        printed="not observed",
        remark="Figure 8 prints no numbers, and the text tells none.",
    ),
)
#: Of GPT2-XL (appendix F).
OTHERS = (
    Finding(
        "pattern-outlives-edits",
        "GPT2-XL keeps the attention pattern of in-context learning through 1000 edits.",
        "Table 14, appendix F.2",
        "After 1000 edits s_wp leads in the first layers (to 0.17 of the depth), and s_qp in "
        "those from 0.19 on.",
        pattern_outlives_edits,
        model="gpt2-xl",
        remark="Table 14 does not tell the edited layer.",
    ),
)
