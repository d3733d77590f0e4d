"""A number against its baseline, for any number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.verdicts import Comparison, Expected, compare

FINITE = st.floats(-1e12, 1e12)
ANY = st.floats()
TOLERANCE = st.floats(0, 1e6)


def one(value: float, expected: float, tolerance: float) -> Comparison:
    (found,) = compare({"x": value}, {"x": Expected(expected, tolerance)})
    return found


@settings(deadline=None)
@given(ANY, ANY, TOLERANCE)
def test_old_and_new_may_change_places(a: float, b: float, tolerance: float) -> None:
    assert one(a, b, tolerance).outcome == one(b, a, tolerance).outcome


@settings(deadline=None)
@given(ANY, st.floats(allow_nan=True))
def test_nan_never_passes(other: float, tolerance: float) -> None:
    assert one(math.nan, other, tolerance).outcome == "fail"
    assert one(other, math.nan, tolerance).outcome == "fail"


@settings(deadline=None)
@given(FINITE, st.sampled_from([math.inf, -math.inf]), st.sampled_from([0.0, 1e308, math.inf]))
def test_an_infinity_is_near_nothing_but_itself(x: float, inf: float, tolerance: float) -> None:
    assert one(x, inf, tolerance).outcome == one(inf, x, tolerance).outcome == "fail"
    assert one(-inf, inf, tolerance).outcome == "fail"
    assert one(inf, inf, tolerance).outcome == "pass"


@settings(deadline=None)
@given(FINITE, TOLERANCE, st.floats(0, 1))
def test_inside_passes(base: float, tolerance: float, part: float) -> None:
    assert one(base + part * tolerance, base, tolerance).outcome == "pass"
    assert one(base - part * tolerance, base, tolerance).outcome == "pass"


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-2, 1e6), st.floats(1.01, 100))
def test_outside_fails(base: float, tolerance: float, times: float) -> None:
    # Beyond by one part in a hundred, and by more than the rounding that is allowed for.
    far = times * tolerance + 1e-8 * (abs(base) + times * tolerance)
    assert one(base + far, base, tolerance).outcome == "fail"
    assert one(base - far, base, tolerance).outcome == "fail"


@settings(deadline=None)
@given(st.floats(1e-300, 1e12))
def test_without_a_tolerance_only_the_last_digits_may_differ(x: float) -> None:
    assert one(x, x, 0.0).outcome == "pass"
    assert one(math.nextafter(x, math.inf), x, 0.0).outcome == "pass"
    assert one(-x * (1 + 1e-6), -x, 0.0).outcome == "fail"


@settings(deadline=None)
@given(st.dictionaries(st.text(), ANY), st.dictionaries(st.text(), ANY))
def test_every_name_gets_one_verdict(new: dict[str, float], old: dict[str, float]) -> None:
    found = compare(new, {name: Expected(value, 0.0) for name, value in old.items()})
    assert [c.name for c in found] == sorted({*new, *old})
    for c in found:
        assert (c.outcome == "missing") == (c.name not in old)
        assert (c.outcome == "left over") == (c.name not in new)


def test_the_difference_is_new_less_old() -> None:
    assert one(3.0, 5.0, 1.0).difference == -2.0
    (missing,) = compare({"x": 3.0}, {})
    assert math.isnan(missing.difference)


@pytest.mark.parametrize("tolerance", [0.25, 1.0, 4096.0])
def test_the_edge_belongs_to_the_inside(tolerance: float) -> None:
    assert one(1.0 + tolerance, 1.0, tolerance).outcome == "pass"
    assert one(1.0 + tolerance * (1 + 1e-6), 1.0, tolerance).outcome == "fail"
