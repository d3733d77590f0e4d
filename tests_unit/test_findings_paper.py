"""Each finding holds on the paper's numbers, and on none that were turned against it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from findings_ import BY_ID, paper, seen_by, to, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.verdicts.findings import Readings, judge_all
from editsuite.verdicts.findings.quantities import CAPABILITIES
from editsuite.verdicts.findings.states import RETENTIONS

Draw = Callable[[st.SearchStrategy[Any]], Any]
Spoiler = Callable[[Draw, Readings], Readings]

MODIFYING = ("mend", "rome", "memit")
KINDS = ("reliability", "generalization")


def between(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high)


def lost_one(draw: Draw, r: Readings) -> Readings:
    method = draw(st.sampled_from(MODIFYING))
    name = f"{draw(st.sampled_from(CAPABILITIES))}.retention"
    wanted = r.of(name, method=method, edits=1, usual=1)
    return turned(r, wanted, to(draw(between(0, 0.6))))


def kept_by_twenty(draw: Draw, r: Readings) -> Readings:
    method = draw(st.sampled_from(MODIFYING))
    wanted = r.of(*RETENTIONS, method=method, edits=20, usual=1)
    return turned(r, wanted, to(draw(between(0.95, 1.2))))


def stands_at_hundred(draw: Draw, r: Readings) -> Readings:
    method = draw(st.sampled_from(MODIFYING))
    wanted = r.of(*RETENTIONS, method=method, edits=100, usual=1)
    return turned(r, wanted, to(draw(between(0.65, 1.2))))


def something_left(draw: Draw, r: Readings) -> Readings:
    method = draw(st.sampled_from(("mend", "memit")))
    name = draw(st.sampled_from([n for n in CAPABILITIES if n != "knowledge"]))
    wanted = r.of(f"{name}.retention", method=method, edits=100, usual=1)
    return turned(r, wanted, to(draw(between(0.15, 1))))


def knows_at_hundred(draw: Draw, r: Readings) -> Readings:
    method = draw(st.sampled_from(MODIFYING))
    wanted = r.of("knowledge", method=method, edits=100, usual=1)
    return turned(r, wanted, to(draw(between(0.4, 1))))


def guessed_before(draw: Draw, r: Readings) -> Readings:
    wanted = r.of("knowledge", method=draw(st.sampled_from(MODIFYING)), edits=1, usual=1)
    return turned(r, wanted, to(draw(between(0, 0.3))))


def grace_lost(draw: Draw, r: Readings) -> Readings:
    name = f"{draw(st.sampled_from(CAPABILITIES))}.retention"
    wanted = r.of(name, method="grace", edits=100, usual=1)
    return turned(r, wanted, to(draw(between(0, 0.7))))


def nothing_forgotten(draw: Draw, r: Readings) -> Readings:
    """The last sequential score is no lower than the first and the individual one."""
    method, kind = draw(st.sampled_from(MODIFYING)), draw(st.sampled_from(KINDS))
    own = r.of(method=method, usual=1)
    first = own.of(f"sequential_{kind}", edits=10).held[0].value
    each = own.of(f"individual_{kind}", edits=100).held[0].value
    value = draw(between(max(first, each), 1))
    return turned(r, own.of(f"sequential_{kind}", edits=100), to(value), 0)


def teaches_no_more(draw: Draw, r: Readings) -> Readings:
    method, kind = draw(st.sampled_from(("rome", "memit"))), draw(st.sampled_from(KINDS))
    own = r.of(f"individual_{kind}", method=method, usual=1)
    first = own.of(edits=10).held[0].value
    return turned(r, own.of(edits=100), to(draw(between(0.02, first - 0.15))))


def mend_goes_on(draw: Draw, r: Readings) -> Readings:
    own = r.of(f"individual_{draw(st.sampled_from(KINDS))}", method="mend", usual=1)
    first = own.of(edits=10).held[0].value
    return turned(r, own.of(edits=100), to(draw(between(first - 0.05, 0.98))))


def grace_forgets(draw: Draw, r: Readings) -> Readings:
    wanted = r.of("sequential_reliability", method="grace", usual=1)
    return turned(r, wanted, to(draw(between(0.02, 0.85))))


def grace_generalises(draw: Draw, r: Readings) -> Readings:
    wanted = r.of("sequential_generalization", method="grace", usual=1)
    return turned(r, wanted, to(draw(between(0.52, 0.98))))


def deep_hurts(draw: Draw, r: Readings) -> Readings:
    """One deep layer retains no more than layer 5."""
    state = r.of("commonsense.retention", method="rome", edits=100, batch=1, sample="a")
    layer = draw(st.sampled_from(("20", "25", "30")))
    shallow = state.of(layer="5").held[0].value
    return turned(r, state.of(layer=layer), to(draw(between(0.02, shallow))))


def survives_thousand(draw: Draw, r: Readings) -> Readings:
    layer = draw(st.sampled_from(("20", "25", "30")))
    wanted = r.of("commonsense.retention", edits=1000, layer=layer, temperature=0.0)
    return turned(r, wanted, to(draw(between(0.15, 1))))


def _thirty(r: Readings, quantity: str, *edits: int) -> Readings:
    own = r.of(quantity, layer="30", method="rome")
    return Readings(tuple(one for one in own if one.settings["edits"] in edits))


def never_fell(draw: Draw, r: Readings) -> Readings:
    wanted = _thirty(r, "commonsense.retention", 14, 1000)
    return turned(r, wanted, to(draw(between(0.15, 1))))


def never_came_back(draw: Draw, r: Readings) -> Readings:
    wanted = _thirty(r, "commonsense.retention", 50, 100, 200, 500)
    return turned(r, wanted, to(draw(between(0.02, 0.75))))


def language_came_back(draw: Draw, r: Readings) -> Readings:
    wanted = _thirty(r, "answer_perplexity", 20, 30, 50, 75, 100)
    return turned(r, wanted, to(draw(between(5, 35))))


def warm_lasts(draw: Draw, r: Readings) -> Readings:
    """The highest temperature never falls."""
    wanted = r.of("commonsense.retention", temperature=0.8)
    return turned(r, wanted, to(draw(between(0.92, 1.1))))


def cold_falls_first(draw: Draw, r: Readings) -> Readings:
    edits = draw(st.sampled_from((1, 10)))
    wanted = r.of("commonsense.retention", temperature=0.0, layer="25", edits=edits)
    return turned(r, wanted, to(draw(between(0.02, 0.85))))


def one_sample_stands(draw: Draw, r: Readings) -> Readings:
    sample = draw(st.sampled_from("abcd"))
    wanted = r.of("commonsense.retention", edits=100, layer="5", sample=sample)
    return turned(r, wanted, to(draw(between(0.92, 1.1))))


def correlation_stays(draw: Draw, r: Readings) -> Readings:
    wanted = r.of("similarity", model="llama-2-7b")
    return turned(r, wanted, to(draw(between(-1, 1))), 0)


def correlation_rises_between(draw: Draw, r: Readings) -> Readings:
    own = r.of("similarity", model="llama-2-7b")
    edits = draw(st.sampled_from(own.values("edits")[1:]))
    before = max(one.value for one in own if one.settings["edits"] < edits)
    return turned(r, own.of(edits=edits), to(draw(between(before + 0.002, 1.1))), 0)


def chat_moves_more(draw: Draw, r: Readings) -> Readings:
    edits = draw(st.sampled_from((1, 10, 20, 50, 75, 100)))
    base = r.of("similarity", model="llama-2-7b", edits=edits).held[0].value
    wanted = r.of("similarity", model="llama-2-7b-chat", edits=edits)
    return turned(r, wanted, to(draw(between(-1, base))), 0)


def answers_stay(draw: Draw, r: Readings) -> Readings:
    own = r.of("answer_perplexity", layer=draw(st.sampled_from(("5", "10", "15", "20", "25"))))
    first = own.of(edits=1).held[0].value
    return turned(r, own.of(edits=100), to(first * draw(between(0.5, 1.09))))


def middle_answers_well(draw: Draw, r: Readings) -> Readings:
    layer = draw(st.sampled_from(("10", "15")))
    wanted = r.of("answer_perplexity", layer=layer, edits=100)
    return turned(r, wanted, to(draw(between(1.1, 10000))))


def text_stays(draw: Draw, r: Readings) -> Readings:
    layer = draw(st.sampled_from(("5", "10", "15", "20", "25", "30")))
    wanted = r.of("text_perplexity.ratio", layer=layer, edits=100)
    return turned(r, wanted, to(draw(between(0.5, 1.09))))


def middle_reads_well(draw: Draw, r: Readings) -> Readings:
    wanted = r.of("text_perplexity.ratio", layer=draw(st.sampled_from(("10", "15"))), edits=100)
    return turned(r, wanted, to(draw(between(1, 5))))


def threshold_does_not_generalise(draw: Draw, r: Readings) -> Readings:
    own = r.of("sequential_generalization", layer=draw(st.sampled_from(("20", "30"))))
    small = own.of(threshold=1.0).held[0].value
    return turned(r, own.of(threshold=20.0), to(draw(between(0.02, small + 0.03))))


def threshold_does_no_damage(draw: Draw, r: Readings) -> Readings:
    layer = draw(st.sampled_from(("20", "30")))
    own = r.of(*RETENTIONS, method="grace", layer=layer)
    return turned(r, own.of(threshold=20.0), to(draw(between(1, 1.2))))


def deep_grace_hurts(draw: Draw, r: Readings) -> Readings:
    """At one of the thresholds the deepest layer is worse than all others."""
    threshold = draw(st.sampled_from((1.0, 5.0, 10.0, 20.0)))
    wanted = r.of(*RETENTIONS, method="grace", layer="30", threshold=threshold)
    return turned(r, wanted, to(draw(between(0.02, 0.1))))


def flows_exchanged(draw: Draw, r: Readings) -> Readings:
    first = draw(st.booleans())
    side = r.within("attention_depth", 0, 0.17) if first else r.within("attention_depth", 0.19, 1.1)
    by_place = {(o.quantity, o.settings["attention_layer"]): o.value for o in side}
    other = {"s_wp": "s_qp", "s_qp": "s_wp"}
    return turned(
        r,
        side.of("s_wp", "s_qp"),
        lambda o: by_place[other[o.quantity], o.settings["attention_layer"]],
    )


SPOILERS: dict[str, tuple[Spoiler, ...]] = {
    "one-edit-keeps-all": (lost_one,),
    "loss-by-20": (kept_by_twenty,),
    "collapse-by-100": (stands_at_hundred,),
    "nothing-left-at-100": (something_left,),
    "knowledge-is-guessed": (knows_at_hundred, guessed_before),
    "grace-keeps-all": (grace_lost,),
    "sequential-recall-declines": (nothing_forgotten,),
    "individual-recall-holds": (teaches_no_more,),
    "individual-recall-of-mend-falls": (mend_goes_on,),
    "grace-recalls-only": (grace_forgets, grace_generalises),
    "deeper-layers-hurt-less": (deep_hurts,),
    "thousand-edits-ruin-every-layer": (survives_thousand,),
    "return-is-of-first-tokens": (never_fell, never_came_back, language_came_back),
    "higher-temperature-falls-sooner": (warm_lasts, cold_falls_first),
    "all-samples-agree": (one_sample_stands,),
    "correlation-falls": (correlation_stays, correlation_rises_between),
    "chat-moves-less": (chat_moves_more,),
    "answers-lose-their-language": (answers_stay,),
    "answers-suffer-most-in-the-middle": (middle_answers_well,),
    "text-becomes-foreign": (text_stays,),
    "text-suffers-most-in-the-middle": (middle_reads_well,),
    "threshold-trades-recall-for-damage": (
        threshold_does_not_generalise,
        threshold_does_no_damage,
    ),
    "deeper-grace-is-safer": (deep_grace_hurts,),
    "pattern-outlives-edits": (flows_exchanged,),
}


@pytest.mark.parametrize("name", BY_ID)
def test_what_becomes_of_a_finding_on_the_papers_numbers(name: str) -> None:
    finding = BY_ID[name]
    outcome = judge_all(paper())[name]
    assert outcome.verdict == finding.printed, outcome.parts
    assert finding.printed == "holds" or finding.remark


def test_every_finding_that_holds_has_a_spoiler() -> None:
    assert set(SPOILERS) == {name for name, one in BY_ID.items() if one.printed == "holds"}


@pytest.mark.parametrize(
    ("name", "spoiler"), [(name, one) for name, several in SPOILERS.items() for one in several]
)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_finding_does_not_hold_on_numbers_turned_against_it(
    name: str, spoiler: Spoiler, data: st.DataObject
) -> None:
    finding = BY_ID[name]
    outcome = finding.predicate(spoiler(data.draw, seen_by(finding)))
    assert outcome.verdict != "holds", outcome.parts


@pytest.mark.parametrize("name", BY_ID)
def test_nothing_is_concluded_from_nothing(name: str) -> None:
    outcome = BY_ID[name].predicate(Readings())
    assert outcome.verdict == "not observed"
    # Nor from a model that was looked at before it was edited, and never after.
    untouched = Readings(tuple(one for one in paper() if one.settings["edits"] == 0))
    assert untouched
    assert BY_ID[name].predicate(untouched).verdict == "not observed"


@pytest.mark.parametrize("name", [n for n, one in BY_ID.items() if one.printed == "holds"])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_with_less_evidence_no_finding_is_refuted(name: str, seed: int, share: float) -> None:
    """A finding that holds may go unobserved when readings are taken away; it does not fail."""
    chance = Random(seed)
    fewer = Readings(tuple(one for one in seen_by(BY_ID[name]) if chance.random() < share))
    assert BY_ID[name].predicate(fewer).verdict in ("holds", "undecided", "not observed")


def test_ids_are_names_and_parts_are_told_apart() -> None:
    assert len(BY_ID) >= 26
    for name, outcome in judge_all(paper()).items():
        assert name == name.lower().replace(" ", "-")
        names = [part.name for part in outcome.parts]
        assert len(set(names)) == len(names), name
        assert all(part.words for part in outcome.parts)
