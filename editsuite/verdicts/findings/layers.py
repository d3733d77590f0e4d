"""Which layer is edited (section 6, appendices D.3 and D.4, Figure 4, Table 9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from editsuite.verdicts.findings.estimate import minus, over, shown
from editsuite.verdicts.findings.outcome import (
    GAP,
    MARGIN,
    Finding,
    Outcome,
    Part,
    Verdict,
    absent,
    at_least,
    below,
    every,
    more,
)
from editsuite.verdicts.findings.reading import Reading, Readings
from editsuite.verdicts.findings.states import END, after, deep, plain, shallower, where
from editsuite.verdicts.tables import Setting

#: A score that is gone: the margin, as for the "nearly zero" of section 5.1.
NOTHING = MARGIN
#: Of a score that came back: 45 % after 50 edits are 0.91 of 49.6 % (D.3); less the margin.
BACK = 0.8
#: A perplexity of this many times is no language any more; Table 4 has 78 for 7.65.
SPOILT = 5.0
#: Layer 30 of 32 is at 0.97 of the depth; layer 25, at 0.81, does not fall (Table 3).
LAST = 0.9
#: When the score falls, and by when it is back (appendix D.3).
FALL, RETURN = 14, 50
SCORE, ANSWERS = "commonsense.retention", "answer_perplexity"


def deeper_layers_hurt_less(readings: Readings) -> Outcome:
    """Each deep layer against each that is not, after 100 edits."""
    return every(_deeper(plain(readings)))


def _deeper(readings: Readings) -> Iterator[Part]:
    for method in ("rome", "memit"):
        state = readings.of("commonsense.retention", method=method, edits=100)
        for one in shallower(state):
            for other in deep(state):
                verdict = more(minus(other, one), GAP)
                words = f"{shown(one)} and {shown(other)}"
                name = f"{method}, {_where(one)} and {_where(other)}"
                yield Part(name, verdict, f"retention of commonsense {words}")


def thousand_edits_ruin_every_layer(readings: Readings) -> Outcome:
    """Each layer that was edited a thousand times."""
    state = plain(readings).of("commonsense.retention", method="rome", edits=1000)
    return every(
        Part(_where(one), below(one, NOTHING), f"retention of commonsense {shown(one)}")
        for one in state
    )


def return_is_of_first_tokens(readings: Readings) -> Outcome:
    """Each of the last layers: the score falls and comes back, and the language does not."""
    own = plain(readings).of(method="rome").within("depth", LAST, END)
    return every(
        part
        for layer, state in own.by("layer").items()
        for part in _fall_and_return(state, where(layer))
    )


def _fall_and_return(state: Readings, place: str) -> Iterator[Part]:
    scores = {edits: part.held[0] for edits, part in state.of(SCORE).by("edits").items()}
    if not scores:
        return
    fallen = [edits for edits in scores if scores[edits].high < NOTHING]
    start = fallen[0] if fallen else min(scores, key=lambda edits: scores[edits].value)
    verdict = _seen(below(scores[start], NOTHING), FALL, scores)
    yield Part(f"{place}, fall", verdict, _retention(scores[start], start))
    written = {edits: part.held[0] for edits, part in state.of(ANSWERS).by("edits").items()}
    later = [edits for edits in scores if fallen and _number(edits) > _number(start)]
    both = [edits for edits in later if edits in written]
    if not later:
        yield absent(f"{place}, return", "nothing was observed after the fall")
        return
    back = max(both or later, key=lambda edits: scores[edits].value)
    verdict = _seen(at_least(scores[back], BACK), RETURN, later)
    yield Part(f"{place}, return", verdict, _retention(scores[back], back))
    if not both or _number(first := min(written, key=_number)) >= _number(start):
        words = "perplexity of answers was not observed before and after"
        yield absent(f"{place}, language", words)
    else:
        grown = over(written[back], written[first])
        words = f"perplexity of answers {grown} times that after {after(first)}"
        yield Part(f"{place}, language", at_least(grown, SPOILT), words)
    yield from _valid(state.of("first_token.valid"), place, start, back)


def _valid(state: Readings, place: str, start: Setting, back: Setting) -> Iterator[Part]:
    """Whether the first tokens came back; nothing where they were not looked at."""
    one, other = state.of(edits=start).sole, state.of(edits=back).sole
    if one and other:
        change = minus(other, one)
        words = f"share of first tokens that are a label rose by {change}"
        yield Part(f"{place}, first tokens", more(change, GAP), words)


def _seen(verdict: Verdict, edits: int, counts: Iterable[Setting]) -> Verdict:
    """What happens at some number of edits is refuted only by a look at the one it is told of."""
    return "undecided" if verdict == "fails" and edits not in counts else verdict


def _retention(one: Reading, edits: Setting) -> str:
    return f"retention of commonsense {shown(one)} after {after(edits)}"


def _number(edits: Setting) -> float:
    return float(edits)


def _where(one: Reading) -> str:
    return where(one.settings["layer"])


FINDINGS = (
    Finding(
        "deeper-layers-hurt-less",
        "Editing deeper layers hurts less.",
        "Figure 4, section 6; Tables 1, 9 and 11",
        "After 100 edits the retention of commonsense is surely higher, and by 0.05 or more, at "
        "each deep layer (from 0.6 of the depth on) than at each other; for ROME and MEMIT.",
        deeper_layers_hurt_less,
        remark="Figure 4 prints no numbers. Used are layer 5 and MEMIT's default layers from Table "
        "1, layers 20, 25 and 30 from Table 9, and what section 6 tells of MEMIT at layers 25 to "
        "29 (a decrease of 9.6 %, taken for percent or points, whichever is more).",
    ),
    Finding(
        "thousand-edits-ruin-every-layer",
        "1000 edits ruin the model at every layer.",
        "Table 9, appendix D.4",
        "The interval of commonsense's retention lies below 0.1, for each layer.",
        thousand_edits_ruin_every_layer,
    ),
    Finding(
        "return-is-of-first-tokens",
        "Edited in one of the last layers, the model's score falls and comes back; it is the first "
        "token that does, the language does not.",
        "Figure 4, appendix D.3; Tables 4 and 9",
        "At each of the last layers (from 0.9 of the depth on) commonsense's retention lies "
        "below 0.1 after some number of edits, and at 0.8 or above after a larger one, while the "
        "perplexity of answers is 5 times that after the fewest edits or more. Where the share "
        "of valid first tokens was looked at, it must have risen from the one state to the "
        "other. A fall is refuted only "
        "by a look at 14 edits, a return only by one at 50: the text speaks of these.",
        return_is_of_first_tokens,
        remark="Layer 30. The score is that of the text: zero after 14 edits, about 45 % after 50.",
    ),
)
