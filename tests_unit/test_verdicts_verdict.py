"""Verdicts say what the items say, in words; families pay for their size."""

from __future__ import annotations

import gc
import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from editsuite.errors import MeasureError
from editsuite.measures.observation import Observation, exact
from editsuite.measures.paired import mean_change, retention
from editsuite.verdicts.families import Method, corrected
from editsuite.verdicts.findings import Claim, judge
from editsuite.verdicts.judging import moved, verdict
from editsuite.verdicts.verdict import ALPHA, Evidence, Verdict

NAME = "capability.knowledge.retention"
P = st.floats(0, 1)


def kept(of: int, lost: int) -> Observation:
    return retention(NAME, [1.0] * of, [0.0] * lost + [1.0] * (of - lost))


def with_p(*retained: float) -> list[Verdict]:
    return [
        Verdict(f"v{i}", 1.0, 0.9, 1.1, 64, "ratio", 0.1, "", Evidence(p, 1 - p, "given"))
        for i, p in enumerate(retained)
    ]


@pytest.mark.parametrize(
    ("lost", "outcome"), [(0, "retained"), (1, "retained"), (2, "undecided"), (30, "lost")]
)
def test_64_items_decide(lost: int, outcome: str) -> None:
    found = verdict(kept(64, lost))
    assert found.outcome == outcome
    assert found.estimate == pytest.approx(1 - lost / 64)
    assert (found.n, found.bound, found.margin) == (64, 0.9, 0.1)
    assert found.low <= found.estimate <= found.high


def test_the_words_give_every_number() -> None:
    (alone, _) = found = corrected(
        "capabilities", [verdict(kept(64, 1)), verdict(kept(64, 30))], "holm"
    )
    assert alone.words() == (
        f"{NAME}: retained. 0.984 of the unedited score is left on the same 64 items "
        "(exact binomial 95%: 0.916 to 0.9996; bound 0.9). Against 'at most 0.9 of the unedited "
        "score is left': p = 0.0096, exact binomial; 0.019 after holm over 2 (capabilities)."
    )
    assert "lost. 0.531" in found[1].words()
    assert "Against 'at least 0.9" in found[1].words()


def test_a_change_in_nats_is_held_against_the_same_share() -> None:
    """ln 0.9: the right answers' probability, in the geometric mean, is 0.9 of what it was."""
    rng = np.random.default_rng(0)
    before = rng.normal(-2, 1, 200)
    near = mean_change("gold", before.tolist(), (before - 0.01).tolist(), "nats")
    far = mean_change("gold", before.tolist(), (before + rng.normal(-1, 0.1, 200)).tolist(), "nats")
    assert verdict(near).bound == pytest.approx(math.log(0.9))
    assert verdict(near).outcome == "retained"
    assert verdict(far).outcome == "lost"
    assert "changed by -1" in verdict(far).words()
    assert moved(far).outcome == "worse"
    assert "at least 0 nats" in moved(far).words()


def test_what_has_no_items_is_decided_by_its_interval() -> None:
    found = verdict(Observation(NAME, 0.95, 100, "ratio", 0.91, 0.99, "given"))
    assert found.outcome == "retained"
    assert found.evidence is None
    assert math.isnan(found.p)
    assert "interval alone decides" in found.words()
    assert verdict(exact(NAME, 0.5, 100, "ratio")).outcome == "lost"
    (same,) = corrected("family", [found])
    assert same == found
    with pytest.raises(MeasureError, match="without the items"):
        moved(exact(NAME, 0.5, 100, "ratio"))


@pytest.mark.parametrize("name", ["perplexity.prose_ratio", "parameters.norm_ratio"])
def test_more_of_what_is_no_score_is_not_retained(name: str) -> None:
    with pytest.raises(MeasureError, match=name):
        verdict(exact(name, 3.0, 10, "ratio"))


@pytest.mark.parametrize("margin", [-0.1, 0.0, 1.0, math.nan])
def test_a_margin_must_leave_something_to_test(margin: float) -> None:
    with pytest.raises(MeasureError, match="margin"):
        verdict(kept(64, 1), margin)


def test_whether_anything_moved_is_mcnemars_question() -> None:
    few, many = moved(kept(64, 5)), moved(kept(64, 6))
    assert few.evidence is not None
    assert few.evidence.test == "exact mcnemar"
    assert few.p == pytest.approx(2**-5)
    assert (few.outcome, many.outcome) == ("undecided", "worse")
    assert many.estimate == pytest.approx(-6 / 64)
    assert moved(kept(64, 0)).outcome == "undecided"
    better = moved(retention(NAME, [1.0, *[0.0] * 9], [1.0] * 10))
    assert better.outcome == "better"
    assert better.low <= better.estimate <= better.high


def test_whether_graded_scores_moved_is_students_question() -> None:
    parts = [0.5 + i / 100 for i in range(40)]
    found = moved(retention(NAME, parts, [p - 0.25 for p in parts]))
    assert found.outcome == "worse"
    assert found.evidence is not None
    changes = [-0.25] * 40 + [-1.0, 1.0]
    assert found.p == pytest.approx(stats.ttest_1samp(changes, 0, alternative="less").pvalue)


def test_an_item_without_a_number_decides_nothing() -> None:
    found = mean_change("gold", [-1.0] * 9, [-1.0] * 8 + [math.nan], "nats")
    assert verdict(found).outcome == moved(found).outcome == "undecided"
    assert "no number" in verdict(found).words()


def test_holm_and_benjamini_hochberg_by_hand() -> None:
    """p = 0.01, 0.02, 0.03, 0.04: Holm 4 x 0.01, 3 x 0.02, then no less; BH 4/i x p_i."""
    given_p = (0.03, 0.01, 0.04, 0.02)
    holm = [v.correction.retained for v in corrected("f", with_p(*given_p)) if v.correction]
    assert holm == pytest.approx([0.06, 0.04, 0.06, 0.06])
    hochberg = corrected("f", with_p(*given_p), "benjamini-hochberg")
    assert [v.correction.retained for v in hochberg if v.correction] == pytest.approx([0.04] * 4)
    assert {v.correction.members for v in hochberg if v.correction} == {4}


@pytest.fixture(scope="module", autouse=True)
def no_garbage() -> Iterator[None]:
    """statsmodels' Holm collects garbage at every call, and would look through all of torch."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("method", ["holm", "benjamini-hochberg"])
@settings(max_examples=40)
@given(ps=st.lists(P, min_size=1, max_size=8))
def test_a_correction_takes_and_never_gives(method: Method, ps: list[float]) -> None:
    found = corrected("f", with_p(*ps), method)
    assert [v.name for v in found] == [f"v{i}" for i in range(len(ps))]
    for v, p in zip(found, ps, strict=True):
        assert v.correction is not None
        assert v.correction.retained >= p - 1e-12
        assert v.correction.lost >= 1 - p - 1e-12
        if len(ps) == 1:
            assert v.adjusted_p == pytest.approx(v.p)
    turned = corrected("f", with_p(*ps)[::-1], method)
    assert {v.name: v.correction for v in turned} == {v.name: v.correction for v in found}


def test_eight_capabilities_at_the_margin_are_falsely_retained_no_oftener_than_one() -> None:
    """Exact: the chance of each p is known, and eight are independent."""
    likely = stats.binom.pmf(np.arange(65), 64, 0.9)
    p = np.array([verdict(kept(64, 64 - k)).evidence.retained for k in range(65)])  # type: ignore[union-attr]
    alone = float(likely[p <= ALPHA].sum())
    smallest = [float(p[p <= ALPHA / 8].max(initial=0.0))]
    any_of_8 = 1 - (1 - float(likely[p <= ALPHA / 8].sum())) ** 8
    assert any_of_8 <= ALPHA
    assert 1 - (1 - alone) ** 8 > 2 * ALPHA  # what they would do without the correction
    # And the family's verdicts do use that bound.
    found = corrected("f", with_p(*smallest, *[1.0] * 7))
    assert found[0].outcome == "retained"
    assert corrected("f", with_p(ALPHA / 8 + 1e-6, *[1.0] * 7))[0].outcome == "undecided"


def test_the_claims_of_a_table_are_one_family() -> None:
    claims = [Claim(name, 1.0, "retained") for name in ("knowledge", "code", "reading")]
    seen = {
        c.capability: retention(f"capability.{c.capability}.retention", [1.0] * 64, [1.0] * 64)
        for c in claims
    }
    assert {o.value for o in judge(claims, list(seen.values()))} == {1.0}
    one_lost = retention("capability.code.retention", [1.0] * 64, [0.0] + [1.0] * 63)
    assert {o.value for o in judge(claims[1:2], [one_lost])} == {1.0}  # p = 0.0096 alone
    spoilt = retention("capability.reading.retention", [1.0] * 64, [0.0] * 2 + [1.0] * 62)
    found = judge(claims, [seen["knowledge"], one_lost, spoilt])
    assert {o.name: o.value for o in found} == {
        "table-1.knowledge": 1.0,  # p = 0.0012, 0.0035 of three
        "table-1.code": 1.0,  # 0.0096, 0.0192 of the two left
        "table-1.reading": 0.5,  # 0.0389
    }


def test_a_verdict_is_json_and_pairs_are_not_written() -> None:
    found = corrected("f", [verdict(kept(64, 2))])[0]
    assert json.loads(json.dumps(asdict(found)))["evidence"]["test"] == "exact binomial"
    assert set(kept(64, 2).as_json()) == {*exact("y", 1.0, 1, "ratio").as_json()}
    assert "pairs" not in kept(64, 2).as_json()


def test_the_example_of_the_page_prints_what_the_page_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "verdicts.md"
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    (_, program), (_, printed) = blocks
    exec(compile(program, "docs/verdicts.md", "exec"), {})
    assert capsys.readouterr().out == printed
