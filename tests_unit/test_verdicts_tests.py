"""The tests behind a verdict are the textbook's, and hold their level: exactly, by enumeration."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from editsuite.errors import MeasureError
from editsuite.measures.observation import Pairs
from editsuite.measures.paired import mean_change, retention
from editsuite.verdicts.difference import difference_test, mcnemar_test
from editsuite.verdicts.judging import nats
from editsuite.verdicts.ratio import ratio_test
from editsuite.verdicts.verdict import ALPHA

BOUND = 0.9
PART = st.integers(0, 20).map(lambda n: n / 20)
GRADED = st.lists(st.tuples(PART, PART), min_size=1, max_size=40)
RIGHT_OR_NOT = st.lists(st.tuples(*[st.sampled_from([0.0, 1.0])] * 2), min_size=1, max_size=80)
BOUNDS = st.integers(1, 19).map(lambda n: n / 20)


def pairs_of(kept: int, lost: int, won: int = 0, wrong: int = 0) -> Pairs:
    before = [1.0] * (kept + lost) + [0.0] * (won + wrong)
    after = [1.0] * kept + [0.0] * lost + [1.0] * won + [0.0] * wrong
    return Pairs(tuple(before), tuple(after))


def test_of_64_items_one_may_be_lost() -> None:
    """P(X >= 63) and P(X >= 62) of 64 at 0.9, written out."""
    one = 0.9**64 + 64 * 0.1 * 0.9**63
    two = one + 64 * 63 / 2 * 0.01 * 0.9**62
    assert ratio_test(pairs_of(63, 1), BOUND).retained == pytest.approx(one)
    assert ratio_test(pairs_of(62, 2), BOUND).retained == pytest.approx(two)
    assert one < ALPHA < two


def test_loss_is_the_other_tail() -> None:
    below = math.fsum(math.comb(20, k) * 0.9**k * 0.1 ** (20 - k) for k in range(14))
    assert ratio_test(pairs_of(13, 7), BOUND).lost == pytest.approx(below)


def test_students_t_is_the_formula_with_two_items_added() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.random(30), rng.random(30)
    apart = np.append(after - BOUND * before, [-BOUND, 1.0])
    t = apart.mean() / (apart.std(ddof=1) / math.sqrt(32))
    found = ratio_test(Pairs(tuple(before.tolist()), tuple(after.tolist())), BOUND)
    assert found.retained == pytest.approx(stats.t.sf(t, 31))
    assert found.lost == pytest.approx(stats.t.cdf(t, 31))


def test_a_change_is_scipys_paired_t() -> None:
    rng = np.random.default_rng(4)
    before = rng.normal(-2, 1, 25)
    after = before + rng.normal(-0.05, 0.1, 25)
    found = difference_test(Pairs(tuple(before.tolist()), tuple(after.tolist())), -0.1)
    above = stats.ttest_rel(after + 0.1, before, alternative="greater").pvalue
    assert found.retained == pytest.approx(above)
    assert found.retained + found.lost == pytest.approx(1.0)


@given(RIGHT_OR_NOT)
def test_mcnemar_is_statsmodels(scores: list[tuple[float, float]]) -> None:
    pairs = Pairs(*zip(*scores, strict=True))
    found = mcnemar_test(pairs)
    table = [[0, len(pairs.lost)], [len(pairs.won), 0]]
    both = mcnemar(table, exact=True).pvalue if pairs.lost or pairs.won else 1.0
    assert min(1.0, 2 * min(found.retained, found.lost)) == pytest.approx(both)


def test_mcnemar_knows_the_direction() -> None:
    found = mcnemar_test(pairs_of(kept=50, lost=6))
    assert found.lost == pytest.approx(2**-6)
    assert found.retained == pytest.approx(1.0)


@given(GRADED | RIGHT_OR_NOT, BOUNDS)
def test_the_interval_and_the_test_say_the_same(
    scores: list[tuple[float, float]], bound: float
) -> None:
    before, after = zip(*scores, strict=True)
    seen, found = retention("r", before, after), ratio_test(Pairs(before, after), bound)
    assume(min(abs(seen.low - bound), abs(seen.high - bound)) > 1e-9)
    assert (found.retained <= ALPHA) == (seen.low > bound)
    assert (found.lost <= ALPHA) == (seen.high < bound)


@given(st.lists(st.tuples(*[st.floats(-20, 0)] * 2), min_size=1, max_size=30), st.floats(-1, -0.01))
def test_the_interval_of_a_change_and_its_test_say_the_same(
    scores: list[tuple[float, float]], bound: float
) -> None:
    before, after = zip(*scores, strict=True)
    seen = mean_change("gold", before, after, "nats")
    changes = np.subtract(after, before)
    # Spreads at the edge of float64 round the one way here and the other there.
    assume(np.ptp(changes) == 0 or np.ptp(changes) > 1e-6)
    assume(min(abs(seen.low - bound), abs(seen.high - bound)) > 1e-6)
    found = difference_test(Pairs(before, after), bound)
    assert (found.retained <= ALPHA) == (seen.low > bound)
    assert (found.lost <= ALPHA) == (seen.high < bound)


@given(GRADED, BOUNDS)
def test_no_sample_speaks_for_both(scores: list[tuple[float, float]], bound: float) -> None:
    found = ratio_test(Pairs(*zip(*scores, strict=True)), bound)
    assert 0 <= found.retained <= 1
    assert 0 <= found.lost <= 1
    assert found.retained + found.lost >= 1 - 1e-12


@given(RIGHT_OR_NOT, BOUNDS, st.data())
def test_one_more_lost_item_never_speaks_for_retained(
    scores: list[tuple[float, float]], bound: float, data: st.DataObject
) -> None:
    stayed = [i for i, pair in enumerate(scores) if pair == (1.0, 1.0)]
    assume(stayed)
    spoilt = list(scores)
    spoilt[data.draw(st.sampled_from(stayed))] = (1.0, 0.0)
    one = ratio_test(Pairs(*zip(*scores, strict=True)), bound)
    other = ratio_test(Pairs(*zip(*spoilt, strict=True)), bound)
    assert not (one.retained > ALPHA >= other.retained)
    assert not (one.lost <= ALPHA < other.lost)


def test_nothing_changed_is_no_proof_for_few_and_one_for_many() -> None:
    few, many = ratio_test(pairs_of(8, 0), BOUND), ratio_test(pairs_of(64, 0), BOUND)
    assert few.retained == pytest.approx(0.9**8)
    assert many.retained == pytest.approx(0.9**64)
    assert few.retained > ALPHA > many.retained
    assert few.lost == many.lost == 1.0
    assert mcnemar_test(pairs_of(64, 0)).lost == 1.0


@pytest.mark.parametrize("pairs", [Pairs((0.0,) * 9, (0.0,) * 9), Pairs((0.0,) * 9, (1.0,) * 9)])
def test_of_nothing_nothing_is_retained_or_lost(pairs: Pairs) -> None:
    found = ratio_test(pairs, BOUND)
    assert (found.retained, found.lost) == (1.0, 1.0)
    assert "nothing was right" in found.test


def test_everything_lost_is_lost() -> None:
    assert ratio_test(pairs_of(0, 64), BOUND).lost == pytest.approx(0.1**64)
    assert ratio_test(Pairs((0.7,) * 64, (0.0,) * 64), BOUND).lost < 1e-9


@pytest.mark.parametrize("pairs", [pairs_of(1, 0), pairs_of(0, 1), Pairs((0.4,), (0.4,))])
def test_one_item_tells_nothing_of_what_is_retained(pairs: Pairs) -> None:
    assert ratio_test(pairs, BOUND).retained > ALPHA
    assert ratio_test(pairs, 0.5).lost > ALPHA
    assert difference_test(pairs, -0.1).retained > ALPHA


def test_equal_changes_are_counted_not_measured() -> None:
    for n in (1, 5, 6, 40):
        same = Pairs((-2.0,) * n, (-2.0,) * n)
        found = difference_test(same, -nats(0.1))
        assert found.test == "exact sign test"
        assert found.retained == pytest.approx(2.0**-n)
    assert difference_test(same, 0.0).retained == difference_test(same, 0.0).lost == 1.0


@pytest.mark.parametrize("broken", [math.nan, -math.inf])
def test_an_item_without_a_number_leaves_it_open(broken: float) -> None:
    pairs = Pairs((-1.0,) * 9, (-1.0,) * 8 + (broken,))
    for found in (difference_test(pairs, -0.1), ratio_test(pairs, BOUND)):
        assert (found.retained, found.lost) == (1.0, 1.0)
        assert "no number" in found.test


@pytest.mark.parametrize(
    ("before", "after", "ids"), [((), (), ()), ((1.0,), (), ()), ((1.0,), (1.0,), ("a", "b"))]
)
def test_pairs_are_of_the_same_items(
    before: tuple[float, ...], after: tuple[float, ...], ids: tuple[str, ...]
) -> None:
    with pytest.raises(MeasureError, match="the same items"):
        Pairs(before, after, ids)


def test_scale_does_not_matter_to_which_items_moved() -> None:
    pairs = Pairs((1.0, 0.5, 0.0, 1.0), (0.0, 0.5, 0.25, 1.0), ("a", "b", "c", "d"))
    assert [pairs.ids[i] for i in pairs.lost] == ["a"]
    assert [pairs.ids[i] for i in pairs.won] == ["c"]


def samples(n: int) -> Iterator[tuple[int, int, int]]:
    """All counts of kept, lost and won among n items; the others were wrong and stayed so."""
    for kept in range(n + 1):
        for lost in range(n + 1 - kept):
            for won in range(n + 1 - kept - lost):
                yield kept, lost, won


def errors(n: int, right: float, won: float, bound: float) -> tuple[float, float]:
    """Exact probabilities of a false "retained" and a false "lost" where the truth is the bound.

    By summing the multinomial over every sample there is; no simulation, no approximation.
    """
    stays = bound - (1 - right) / right * won
    share = [right * stays, right * (1 - stays), (1 - right) * won, (1 - right) * (1 - won)]
    found = [0.0, 0.0]
    for kept, lost, gained in samples(n):
        counts = [kept, lost, gained, n - kept - lost - gained]
        likely = float(stats.multinomial.pmf(counts, n, share))
        if likely > 1e-9:
            tested = ratio_test(pairs_of(*counts), bound)
            found[0] += likely * (tested.retained <= ALPHA)
            found[1] += likely * (tested.lost <= ALPHA)
    return found[0], found[1]


@pytest.mark.parametrize("bound", [0.6, 0.9])
@pytest.mark.parametrize(("right", "won"), [(0.8, 0.0), (0.8, 0.2), (0.5, 0.1)])
def test_errors_at_the_margin_stay_within_the_level(right: float, won: float, bound: float) -> None:
    assert max(errors(16, right, won, bound)) <= ALPHA + 0.005


@pytest.mark.parametrize("n", [8, 64, 96])
@pytest.mark.parametrize("bound", [0.5, 0.9, 0.95])
def test_with_all_right_before_the_level_is_exact(n: int, bound: float) -> None:
    likely = stats.binom.pmf(np.arange(n + 1), n, bound)
    tested = [ratio_test(pairs_of(kept, n - kept), bound) for kept in range(n + 1)]
    assert float(likely @ [t.retained <= ALPHA for t in tested]) <= ALPHA
    assert float(likely @ [t.lost <= ALPHA for t in tested]) <= ALPHA


def test_where_none_was_won_t_alone_would_not_hold_it() -> None:
    """Why the larger p of two is taken there: at 100 items Student's t would be half too often."""
    n, found, alone = 100, 0.0, 0.0
    for kept in range(n + 1):
        for lost in range(n + 1 - kept):
            counts = [kept, lost, 0, n - kept - lost]
            likely = float(stats.multinomial.pmf(counts, n, [0.72, 0.08, 0.0, 0.2]))
            if likely > 1e-5:
                pairs = pairs_of(*counts)
                before, after = map(np.asarray, pairs.smoothed())
                t = stats.ttest_1samp(after - BOUND * before, 0.0, alternative="greater").pvalue
                alone += likely * (t <= ALPHA)
                found += likely * (ratio_test(pairs, BOUND).retained <= ALPHA)
    assert found <= ALPHA < 0.035 < alone
