"""What is left of language (section 7.2, appendix E.1, Tables 4 and 12)."""

from __future__ import annotations

from collections.abc import Iterator

from editsuite.verdicts.findings.estimate import Estimate, Interval, over, shown
from editsuite.verdicts.findings.outcome import MARGIN, Finding, Outcome, Part, every, more
from editsuite.verdicts.findings.reading import Reading, Readings
from editsuite.verdicts.findings.states import (
    after,
    deep,
    middle,
    most,
    plain,
    shallow,
    shallower,
    where,
)

#: A perplexity that rises by less does not count; that of layer 20 in Table 4 rises by 1.47.
RISE = 1 + MARGIN
#: Section 7.2 speaks of what 100 edits do. Earlier the order is another: in Table 4 layer 30 is the
#: worst until 30 edits, and layer 20 has hardly moved.
HUNDRED = 100


def _answers(readings: Readings) -> Readings:
    return plain(readings).of("answer_perplexity", method="rome")


def _text(readings: Readings) -> Readings:
    """Over the unedited model's: of a named text, else of the built-in prose."""
    own = plain(readings).of(method="rome")
    return own.of("text_perplexity.ratio") or own.of("prose_perplexity.ratio")


def answers_lose_their_language(readings: Readings) -> Outcome:
    """At each layer, from one edit to the most."""
    parts = []
    for layer, state in _answers(readings).by("layer").items():
        edits = most(state.values("edits"), HUNDRED)
        if edits is None:
            continue
        first, last = state.of(edits=1).sole, state.of(edits=edits).sole
        if first and last:
            name = f"{where(layer)}, 1 to {edits} edits"
            verdict = more(over(last, first), RISE, nothing=1)
            parts.append(Part(name, verdict, f"{_shown(first)} to {_shown(last)}"))
    return every(parts)


def text_becomes_foreign(readings: Readings) -> Outcome:
    """At each layer after the most edits, over the unedited model's."""
    parts = []
    for layer, state in _text(readings).by("layer").items():
        edits = most(state.values("edits"))
        if edits is not None and (last := state.of(edits=edits).sole):
            verdict = more(last, RISE, nothing=1)
            parts.append(Part(f"{where(layer)}, {after(edits)}", verdict, f"{shown(last)} times"))
    return every(parts)


def answers_suffer_most_in_the_middle(readings: Readings) -> Outcome:
    """Each middle layer against each other one, after the most edits that all have."""
    return every(_middle_most(_answers(readings)))


def text_suffers_most_in_the_middle(readings: Readings) -> Outcome:
    """Each middle layer against each other one, after the most edits that all have."""
    return every(_middle_most(_text(readings)))


def _middle_most(own: Readings) -> Iterator[Part]:
    """Nothing unless there are shallow, middle and deep layers: most is said of all three."""
    edits = most(own.common("edits", "layer"), HUNDRED)
    if edits is None:
        return
    state = own.of(edits=edits)
    if not (shallow(state) and middle(state) and deep(state)):
        return
    for one in middle(state):
        for other in (*shallow(state), *deep(state)):
            yield _higher(one, other, after(edits))


def _higher(one: Reading, other: Reading, when: str) -> Part:
    name = f"{_where(one)} and {_where(other)}, {when}"
    verdict = more(over(one, other), RISE, nothing=1)
    return Part(name, verdict, f"{_shown(one)} and {_shown(other)}")


def deeper_layers_keep_language(readings: Readings) -> Outcome:
    """Each deep layer against each other one, after the most edits that all have."""
    own = _text(readings)
    edits = most(own.common("edits", "layer"))
    if edits is None:
        return every([])
    state = own.of(edits=edits)
    return every(
        _higher(one, other, after(edits)) for one in shallower(state) for other in deep(state)
    )


def _where(one: Reading) -> str:
    return where(one.settings["layer"])


def _shown(one: Interval) -> str:
    if one.value == float("inf"):
        return "no end"
    return shown(Estimate(one.value, one.low, one.high))


FINDINGS = (
    Finding(
        "answers-lose-their-language",
        "What the edited model writes is ever stranger to a judge.",
        "Table 4, section 7.2",
        "From one edit to the most (100 or more) the perplexity of answers surely rises, and to "
        "1.1 times or more; at each layer. Where nothing is written any more, it has no end.",
        answers_lose_their_language,
    ),
    Finding(
        "answers-suffer-most-in-the-middle",
        "The perplexity of answers rises most where middle layers are edited.",
        "Table 4, section 7.2",
        "After the most edits (100 or more) it is surely higher, and 1.1 times or more, at each "
        "middle layer (0.25 to 0.6 of the depth) than at each other.",
        answers_suffer_most_in_the_middle,
        remark="Table 4 has no number for layer 10 after 100 edits, nothing was generated; the "
        "text speaks of an extremely high perplexity.",
    ),
    Finding(
        "text-becomes-foreign",
        "Plain text is ever stranger to the edited model.",
        "Table 12, appendix E.1.2",
        "After the most edits the perplexity of text is surely higher than the unedited model's, "
        "and 1.1 times or more; at each layer.",
        text_becomes_foreign,
    ),
    Finding(
        "text-suffers-most-in-the-middle",
        "The perplexity of text rises most where middle layers are edited.",
        "Table 12, appendix E.1.2",
        "After the most edits (100 or more) it is surely higher, and 1.1 times or more, at each "
        "middle layer (0.25 to 0.6 of the depth) than at each other.",
        text_suffers_most_in_the_middle,
    ),
    Finding(
        "deeper-layers-keep-language",
        "Edited in deeper layers the model keeps more of its language.",
        "Table 12, appendix E.1.2",
        "After the most edits the perplexity of text is surely higher, and 1.1 times or more, at "
        "each layer before 0.6 of the depth than at each deeper one.",
        deeper_layers_keep_language,
        printed="fails",
        remark="The text says so; in Table 12 layer 5 has the lowest perplexity after 100 edits, "
        "18.31. Of layers 10 and 15 it is true.",
    ),
)
