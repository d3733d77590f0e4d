"""Numbers with intervals: against other formulas, and what must always be so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from findings_ import made
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from editsuite.errors import BaselineError
from editsuite.verdicts.findings import Outcome, Part, Reading, Readings, Verdict
from editsuite.verdicts.findings.estimate import Estimate, mean, minus, over, shown
from editsuite.verdicts.findings.outcome import (
    at_least,
    below,
    borne_out,
    every,
    more,
)

numbers = st.floats(-100, 100)


@st.composite
def estimates(draw: st.DrawFn, low: float = -100.0) -> Estimate:
    a, b, c = sorted(draw(st.lists(st.floats(low, 100), min_size=3, max_size=3)))
    return Estimate(b, a, c)


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_a_difference_of_proportions_is_newcombes(n: int, m: int, data: st.DataObject) -> None:
    """Newcombe's method 10, as statsmodels has it."""
    x, y = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    one, other = (
        Estimate(k / size, *map(float, proportion_confint(k, size, method="wilson")))
        for k, size in ((x, n), (y, m))
    )
    low, high = confint_proportions_2indep(x, n, y, m, compare="diff", method="newcomb")
    found = minus(one, other)
    assert found.value == pytest.approx(x / n - y / m, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@given(estimates(), estimates())
def test_a_difference_turns_with_its_sides(one: Estimate, other: Estimate) -> None:
    there, back = minus(one, other), minus(other, one)
    assert there.low <= there.value <= there.high
    assert (there.value, there.low, there.high) == (-back.value, -back.high, -back.low)
    # Never surer than the surer of the two, never less sure than both together.
    down, up = there.value - there.low, there.high - there.value
    slack = 1e-9
    assert max(one.value - one.low, other.high - other.value) <= down + slack
    assert down <= (one.value - one.low) + (other.high - other.value) + slack
    assert up <= (one.high - one.value) + (other.value - other.low) + slack


@given(estimates(0.01), estimates(0.01))
def test_a_quotient_is_a_difference_of_logarithms(one: Estimate, other: Estimate) -> None:
    found = over(one, other)
    logs = [Estimate(*map(math.log, (e.value, e.low, e.high))) for e in (one, other)]
    apart = minus(*logs)
    assert math.log(found.value) == pytest.approx(apart.value, abs=1e-9)
    assert found.low <= found.value <= found.high


def test_what_has_no_end_is_more_than_anything() -> None:
    endless, large = Estimate(*[math.inf] * 3), Estimate(17220.0, 17000.0, 17400.0)
    assert over(endless, large) == Estimate(math.inf, math.inf, math.inf)
    assert over(large, endless).high == 0
    assert more(over(endless, large), 1.1, nothing=1) == "holds"
    # Two without an end are not told apart, and not a NaN.
    assert over(endless, endless) == Estimate(1.0, 1.0, 1.0)


@given(st.lists(estimates(), min_size=1, max_size=8))
def test_a_mean_is_that_of_independent_numbers(several: list[Estimate]) -> None:
    found = mean(several)
    assert found.value == pytest.approx(np.mean([e.value for e in several]), abs=1e-9)
    down = np.sqrt(np.sum([(e.value - e.low) ** 2 for e in several])) / len(several)
    assert found.value - found.low == pytest.approx(down, abs=1e-9)


@given(estimates(), numbers)
def test_a_bound_is_reached_or_not_or_it_is_open(one: Estimate, bound: float) -> None:
    opposite: dict[Verdict, Verdict] = {"holds": "fails", "fails": "holds"}
    said = at_least(one, bound)
    assert below(one, bound) == opposite.get(said, said)
    assert (said == "undecided") == (one.low < bound <= one.high)


@given(estimates(), st.floats(0.01, 10))
def test_a_difference_must_be_sure_and_large_enough(one: Estimate, gap: float) -> None:
    said = more(one, gap)
    assert (said == "holds") == (one.low > 0 and one.value >= gap)
    assert (said == "fails") == (one.high < gap)


verdicts = st.sampled_from(("holds", "fails", "undecided", "not observed"))


@given(st.lists(verdicts, min_size=1, max_size=6))
def test_parts_make_a_whole(several: list[Verdict]) -> None:
    parts = [Part(str(i), verdict, "") for i, verdict in enumerate(several)]
    whole, some = every(parts).verdict, borne_out(parts).verdict
    assert (whole == "holds") == (set(several) == {"holds"})
    assert (whole == "fails") == ("fails" in several) == (some == "fails")
    assert (some == "holds") == ("holds" in several and "fails" not in several)
    assert every(reversed(parts)).verdict == whole
    assert every([]) == borne_out([]) == Outcome("not observed", ())


def test_numbers_in_words() -> None:
    assert shown(Estimate(0.5, 0.5, 0.5)) == "0.5"
    assert shown(Estimate(0.8412, 0.79, 0.8944)) == "0.841 (0.79 to 0.894)"
    assert shown(Estimate(18373.9, 18000, 19000)) == "1.837e+04 (1.800e+04 to 1.900e+04)"


@pytest.mark.parametrize(("low", "high"), [(0.6, 1.0), (0.0, 0.4), (math.nan, 1.0)])
def test_a_reading_lies_within_its_interval(low: float, high: float) -> None:
    with pytest.raises(BaselineError, match=r"knowledge is 0\.5, which does not lie within"):
        Reading("knowledge", {}, 0.5, low, high, 10, "file.json")


def test_readings_are_found_by_settings() -> None:
    several = [
        made("code", 0.1, layer="10"),
        made("code", 0.2, layer="5", edits=20),
        made("knowledge", 0.3, layer="5"),
        made("code", 0.9, layer="10"),  # the same settings again: the first is kept
    ]
    found = Readings.of_all(several)
    assert [one.value for one in found] == [0.1, 0.2, 0.3]
    assert [one.value for one in found.of("code", layer="5")] == [0.2]
    assert found.of("code").sole is None
    assert found.of("knowledge").sole == several[2]
    assert found.values("layer") == ("5", "10")
    assert found.values("no such setting") == ()
    assert found.common("edits", "layer") == (100,)
    assert found.of("code").common("edits", "layer") == ()
    assert [one.value for one in found.within("depth", 0.2, 1.1)] == [0.1]
    assert not Readings()
    assert (found.of("code") + found).of() == Readings((several[0], several[1], several[2]))
