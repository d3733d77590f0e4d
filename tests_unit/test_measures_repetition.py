"""Equations (3) and (4) of the paper, counted by hand."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.measures.repetition import NGRAM, log_adjusted, repetition


@pytest.mark.parametrize(
    ("tokens", "length", "repeated"),
    [
        ([7] * 20, 4, 16 / 17),  # one of 17 4-grams is new
        (list(range(20)), 4, 0.0),
        ([1, 2] * 10, 4, 15 / 17),  # 1212 and 2121
        ([1, 2, 3, 4, 5] * 4, 4, 12 / 17),  # five different ones
        ([0, *range(10), *range(9)], 4, 6 / 17),  # 0123 to 5678 come back
        ([1, 2, 3, 4], 4, 0.0),
        ([1, 1, 2, 1, 1], 2, 1 / 4),  # 11 12 21 11
        ([3, 3, 4], 1, 1 / 3),
    ],
)
def test_repetition_is_counted_by_hand(tokens: list[int], length: int, repeated: float) -> None:
    assert repetition(tokens, length) == pytest.approx(repeated, abs=1e-15)


@pytest.mark.parametrize(("tokens", "length"), [([1, 2, 3], 4), ([], 1), ([1], 0)])
def test_a_text_without_an_ngram_has_no_repetition(tokens: list[int], length: int) -> None:
    with pytest.raises(ValueError, match="-gram"):
        repetition(tokens, length)


@given(st.lists(st.integers(0, 3), min_size=NGRAM, max_size=30))
def test_repetition_is_what_stood_there_before(tokens: list[int]) -> None:
    """Another count of the same: every n-gram beyond the first of its kind."""
    grams = Counter(" ".join(map(str, tokens[i:][:NGRAM])) for i in range(len(tokens) - NGRAM + 1))
    again = sum(number - 1 for number in grams.values())
    found = repetition(tokens)
    assert found == pytest.approx(again / sum(grams.values()), abs=1e-15)
    assert 0 <= found < 1
    # A new token at the end repeats nothing; the text once more repeats all of it.
    assert repetition([*tokens, 99]) <= found
    assert repetition(tokens * 3) >= found


@given(st.floats(0, 200), st.integers(1, 40), st.floats(0, 1, exclude_max=True))
def test_the_adjusted_perplexity_is_equation_4(nll: float, n: int, repeated: float) -> None:
    plain = math.exp(nll / n)
    adjusted = math.exp(log_adjusted(nll, n, repeated))
    assert adjusted == pytest.approx(plain * math.e**repeated, rel=1e-12)
    assert plain <= adjusted * (1 + 1e-12)
    assert adjusted <= plain * math.e * (1 + 1e-12)
