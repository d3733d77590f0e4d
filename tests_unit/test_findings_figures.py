"""Findings that the paper's numbers do not bear out or do not tell: on numbers made for them.

Each holds on numbers as its figure shows them, and on none that were turned against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from findings_ import BY_ID, made, to, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.verdicts.findings import Readings, judge_all
from editsuite.verdicts.findings.quantities import CAPABILITIES

Draw = Callable[[st.SearchStrategy[Any]], Any]
PLAIN, LARGE, CHAT = "llama-2-7b", "llama-2-13b", "llama-2-7b-chat"
NEAR, FAR = ("knowledge", "commonsense"), ("multilingual", "code")


def of(*several: Any) -> Readings:
    return Readings.of_all(several)


def each_lost() -> Readings:
    return of(
        *(
            made(f"{name}.retention", 0.5, method=method, edits=20)
            for name in CAPABILITIES
            for method in ("mend", "rome", "memit")
        )
    )


def two_models(other: str, values: dict[str, tuple[float, float]]) -> Readings:
    return of(
        *(
            made(f"{name}.retention", value, model=model)
            for name, both in values.items()
            for model, value in zip((PLAIN, other), both, strict=True)
        )
    )


def better(other: str, names: tuple[str, ...]) -> Callable[[], Readings]:
    return lambda: two_models(other, dict.fromkeys(names, (0.3, 0.6)))


def the_same(other: str, names: tuple[str, ...]) -> Callable[[], Readings]:
    return lambda: two_models(other, dict.fromkeys(names, (0.4, 0.42)))


def batches() -> Readings:
    at = {"method": "memit", "layer": "4-5-6-7-8", "depth": 6 / 31}
    return of(
        *(
            made("commonsense.retention", 0.2 + 0.2 * i, batch=batch, **at)
            for i, batch in enumerate((1, 10, 100))
        )
    )


def constrained() -> Readings:
    return of(
        *(
            made(f"{name}.retention", value, method=method)
            for name in ("multilingual", "commonsense", "code")
            for method, value in (("rome", 0.6), ("rome_noc", 0.2))
        )
    )


def similarities() -> Readings:
    layers = {"5": 0.35, "10": 0.4, "15": 0.5, "20": 0.8, "25": 0.85, "30": 0.9}
    return of(*(made("similarity", value, layer=layer) for layer, value in layers.items()))


def curves() -> Readings:
    """Curves over the layers like the unedited model's, but for layer 15's."""
    return of(
        *(
            made(f"{flow}.likeness", value, layer=layer)
            for layer, value in (("5", 0.97), ("15", 0.4), ("30", 0.98))
            for flow in ("s_wp", "s_qp")
        )
    )


def ruined() -> Readings:
    return of(
        *(
            made("commonsense.retention", 0.1, model="mistral-7b-v0.1", edits=200, layer=layer)
            for layer in ("5", "15", "30")
        )
    )


def outlived() -> Readings:
    at: dict[str, Any] = {"model": "gpt2-xl", "edits": 1000}
    return of(
        *(
            one
            for layer in ("5", "25", "45")
            for one in (
                made("text_perplexity.ratio", 40, layer=layer, **at),
                made("commonsense.retention", 0.95, layer=layer, **at),
            )
        )
    )


def deep_language() -> Readings:
    layers = {"5": 150.0, "10": 100.0, "20": 2.0, "30": 3.0}
    return of(
        *(made("text_perplexity.ratio", value, layer=layer) for layer, value in layers.items())
    )


#: By finding: numbers it holds on; which of them are turned, by settings; and to what.
Turn = tuple[str, dict[str, Any], tuple[float, float]]
FIGURES: dict[str, tuple[Callable[[], Readings], tuple[Turn, ...]]] = {
    "loss-of-each-by-20": (
        each_lost,
        (
            ("code.retention", {"method": "mend"}, (0.92, 1.2)),
            ("knowledge.retention", {"method": "rome"}, (0.92, 1.2)),
        ),
    ),
    "larger-models-hold-more": (
        better(LARGE, FAR),
        (
            ("code.retention", {"model": LARGE}, (0.05, 0.33)),
            ("multilingual.retention", {"model": PLAIN}, (0.57, 0.95)),
        ),
    ),
    "larger-models-hold-knowledge-no-better": (
        the_same(LARGE, NEAR),
        (("knowledge.retention", {"model": LARGE}, (0.55, 1)),),
    ),
    "chat-holds-knowledge-better": (
        better(CHAT, NEAR),
        (("commonsense.retention", {"model": CHAT}, (0.05, 0.33)),),
    ),
    "chat-holds-the-rest-no-better": (
        the_same(CHAT, FAR),
        (("code.retention", {"model": CHAT}, (0.55, 1)),),
    ),
    "larger-batches-hurt-less": (
        batches,
        (("commonsense.retention", {"batch": 100}, (0.02, 0.23)),),
    ),
    "constraint-helps": (
        constrained,
        (
            ("", {"method": "rome_noc"}, (0.56, 1)),
            ("", {"method": "rome"}, (0.02, 0.24)),
        ),
    ),
    "correlation-falls-less-in-deeper-layers": (
        similarities,
        (
            ("similarity", {"layer": "30"}, (-1, 0.52)),
            ("similarity", {"layer": "5"}, (0.78, 1)),
        ),
    ),
    "pattern-breaks-in-the-middle": (
        curves,
        (
            ("s_wp.likeness", {"layer": "30"}, (-1, 0.85)),
            ("s_qp.likeness", {"layer": "5"}, (-1, 0.85)),
            ("", {"layer": "15"}, (0.92, 1)),
        ),
    ),
    "ruined-by-200": (ruined, (("", {"layer": "15"}, (0.52, 1)),)),
    "answers-outlive-language": (
        outlived,
        (
            ("text_perplexity.ratio", {"layer": "25"}, (1, 9)),
            ("commonsense.retention", {"layer": "45"}, (0, 0.85)),
        ),
    ),
    "deeper-layers-keep-language": (
        deep_language,
        (
            ("text_perplexity.ratio", {"layer": "5"}, (0.9, 3)),
            ("text_perplexity.ratio", {"layer": "30"}, (100, 1000)),
        ),
    ),
}


def test_these_are_the_findings_that_the_paper_does_not_settle() -> None:
    assert set(FIGURES) == {name for name, one in BY_ID.items() if one.printed != "holds"}


@pytest.mark.parametrize("name", FIGURES)
def test_a_finding_holds_on_numbers_like_its_figure(name: str) -> None:
    outcome = judge_all(FIGURES[name][0](), BY_ID[name].model)[name]
    assert outcome.verdict == "holds", outcome.parts


@pytest.mark.parametrize(("name", "turn"), [(n, t) for n, (_, ts) in FIGURES.items() for t in ts])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_it_does_not_hold_on_numbers_turned_against_it(
    name: str, turn: Turn, data: st.DataObject
) -> None:
    readings = FIGURES[name][0]()
    quantity, where, ends = turn
    wanted = readings.of(*([quantity] if quantity else []), **where)
    value = data.draw(st.floats(*ends))
    outcome = BY_ID[name].predicate(turned(readings, wanted, to(value)))
    assert outcome.verdict != "holds", outcome.parts


def test_wide_intervals_decide_nothing() -> None:
    """The same numbers from few items: neither held nor refuted."""
    for name, (made_for, _) in FIGURES.items():
        readings = made_for()
        wide = turned(readings, readings, lambda one: one.value, width=1000)
        assert BY_ID[name].predicate(wide).verdict == "undecided", name


def test_curves_stand_in_for_what_they_are_like() -> None:
    """Without correlations with the unedited model: which flow leads where."""
    layers = range(0, 32, 4)

    def state(edited: str, kept: bool) -> list[Any]:
        found = []
        for layer in layers:
            first = (layer < 5) == kept
            flows = {"s_wp": 0.7 if first else 0.1, "s_qp": 0.2 if first else 0.8}
            for flow, value in flows.items():
                at = {"attention_layer": layer, "attention_depth": layer / 31}
                found.append(made(flow, value, layer=edited, **at))
        return found

    predicate = BY_ID["pattern-breaks-in-the-middle"].predicate
    assert predicate(of(*state("5", True), *state("15", False))).verdict == "holds"
    assert predicate(of(*state("5", True), *state("15", True))).verdict == "fails"
    assert predicate(of(*state("5", False), *state("15", False))).verdict == "fails"
    assert predicate(of(*state("5", True), *state("30", True))).verdict == "not observed"
