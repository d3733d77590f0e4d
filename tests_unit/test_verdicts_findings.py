"""A claim of the paper holds on the paper's own table, and fails on tables spoilt on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.errors import BaselineError
from editsuite.measures.observation import Observation
from editsuite.measures.paired import retention
from editsuite.verdicts.findings import MARGIN, TABLE_1, Claim, judge, status, table_1

TABLE = Path(__file__).resolve().parents[1] / "baselines" / "paper" / "table-1.csv"
STATES = [(m, n) for m in ("mend", "rome", "memit") for n in (1, 10, 20, 100)] + [("grace", 100)]


def observed(claim: Claim, value: float, width: float = 0.01) -> Observation:
    name = f"capability.{claim.capability}.retention"
    return Observation(name, value, 100, "ratio", value - width, value + width, "given")


@pytest.mark.parametrize(("method", "edits"), STATES)
def test_the_papers_numbers_bear_out_its_claims(method: str, edits: int) -> None:
    claims = table_1(TABLE, method, edits)
    assert [claim.capability for claim in claims] == [*TABLE_1]
    same = judge(claims, [observed(claim, claim.retention, 0.0) for claim in claims])
    assert {found.value for found in same} == {1.0}
    turned = {"retained": 0.3, "lost": 1.0}
    spoilt = judge(claims, [observed(claim, turned[claim.kept]) for claim in claims])
    assert {found.value for found in spoilt} == {0.0}


def test_the_table_is_what_the_paper_says() -> None:
    """Section 5: all methods hold after one edit; all that change parameters fall after 20."""
    for method in ("mend", "rome", "memit"):
        after_one = {claim.kept for claim in table_1(TABLE, method, 1)}
        assert after_one == {"retained"}
        after_hundred = {c.capability: c.kept for c in table_1(TABLE, method, 100)}
        assert set(after_hundred.values()) == {"lost"}
    assert {claim.kept for claim in table_1(TABLE, "grace", 100)} == {"retained"}
    assert {claim.retention for claim in table_1(TABLE, "grace", 100)} == {1.0}


def test_a_state_that_the_paper_does_not_have_has_no_claims() -> None:
    assert table_1(TABLE, "rome", 50) == ()
    assert table_1(TABLE, "ft_l", 100) == ()


def test_what_was_not_observed_is_not_judged() -> None:
    claims = table_1(TABLE, "rome", 100)
    assert judge(claims, []) == ()
    (one,) = judge(claims, [observed(claims[2], 0.5)])
    assert one.name == f"table-1.{claims[2].capability}"


@given(st.floats(0, 2), st.floats(0, 2))
def test_an_interval_says_one_thing(a: float, b: float) -> None:
    low, high = sorted((a, b))
    said = status(low, high)
    assert (said == "retained") == (low >= 1 - MARGIN)
    assert (said == "lost") == (high < 1 - MARGIN)


def test_too_few_items_decide_nothing() -> None:
    claim = Claim("knowledge", 1.0, "retained")
    few = retention("capability.knowledge.retention", [1.0] * 10, [1.0] * 9 + [0.0])
    (found,) = judge([claim], [few])
    assert found.value == 0.5


@pytest.mark.parametrize("text", ["", "method,edits\nbase,0\n", "a,b\n1,2\n", "\0"])
def test_a_spoilt_table_is_told(text: str, tmp_path: Path) -> None:
    file = tmp_path / "table-1.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match=r"table-1\.csv"):
        table_1(file, "rome", 1)
    with pytest.raises(BaselineError, match="absent"):
        table_1(tmp_path / "absent.csv", "rome", 1)
