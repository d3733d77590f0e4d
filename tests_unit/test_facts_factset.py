from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.errors import FactError
from editsuite.facts import EditRequest, FactSet, parse_seed


def facts(count: int, mark: str = "n") -> list[EditRequest]:
    return [
        EditRequest(f"Where is {mark}{n}x?", f"{mark}{n}x", "Oslo", id=f"{mark}{n}")
        for n in range(count)
    ]


SEEDS = st.integers(0, 2**63 - 1)


@given(count=st.integers(0, 40), tail=st.integers(0, 20), seed=SEEDS)
def test_an_order_is_a_permutation_with_the_tail_last(count: int, tail: int, seed: int) -> None:
    part = FactSet.of("t", facts(count), source="s", tail=facts(tail, "m"))
    order = part.order(seed)
    assert set(order[:count]) == set(part.requests)
    assert set(order[count:]) == set(part.tail)
    assert len(order) == count + tail


@given(seed=SEEDS, permutation=st.permutations(facts(12)))
def test_an_order_does_not_depend_on_the_order_of_the_source(
    seed: int, permutation: list[EditRequest]
) -> None:
    plain = FactSet.of("t", facts(12), source="s")
    shuffled = FactSet.of("t", permutation, source="elsewhere")
    assert shuffled.order(seed) == plain.order(seed)


@given(seed=SEEDS, keep=st.sets(st.integers(0, 19)))
def test_facts_keep_their_relative_order_in_a_subset(seed: int, keep: set[int]) -> None:
    every = facts(20)
    chosen = [every[index] for index in sorted(keep)]
    whole = FactSet.of("t", every, source="s").order(seed)
    part = FactSet.of("t", chosen, source="s").order(seed)
    assert part == tuple(fact for fact in whole if fact in chosen)


def test_seeds_give_different_orders() -> None:
    orders = {FactSet.of("t", facts(30), source="s").order(seed) for seed in range(4)}
    assert len(orders) == 4


def test_an_order_is_the_same_in_another_process() -> None:
    code = (
        "from editsuite.facts import EditRequest, FactSet;"
        "f=[EditRequest(f'Where is n{n}x?', f'n{n}x', 'Oslo') for n in range(9)];"
        "print(' '.join(x.subject for x in FactSet.of('t', f, source='s').order(3)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = FactSet.of("t", facts(9), source="s").order(3)
    assert done.stdout.split() == [fact.subject for fact in here]


def test_the_digest_is_of_the_facts_their_order_and_their_part() -> None:
    one, two, three = facts(3)
    digests = {
        FactSet.of("t", [one, two, three], source="s").digest,
        FactSet.of("t", [two, one, three], source="s").digest,
        FactSet.of("t", [one, two], source="s", tail=[three]).digest,
        FactSet.of("t", [one, two], source="s").digest,
    }
    assert len(digests) == 4
    moved = FactSet.of("other", [one, two, three], source="elsewhere")
    assert moved.digest == FactSet.of("t", [one, two, three], source="s").digest


def test_a_fact_taught_twice_is_refused() -> None:
    one = EditRequest("Where is X?", "X", "Oslo", id="one")
    two = EditRequest("Where is X?", "X", "Rome", id="two")
    with pytest.raises(FactError, match="facts one and two share"):
        FactSet.of("t", [one, two], source="s")
    with pytest.raises(FactError, match="facts one and two share"):
        FactSet.of("t", [one], source="s", tail=[two])


def test_an_id_used_twice_is_refused() -> None:
    one = EditRequest("Where is X?", "X", "Oslo", id="same")
    two = EditRequest("Where is Y?", "Y", "Rome", id="same")
    with pytest.raises(FactError, match="share 'same'"):
        FactSet.of("t", [one, two], source="s")


@pytest.mark.parametrize(
    ("text", "seed"),
    [("a", 0), ("b", 1), ("c", 2), ("d", 3), ("D", 3), ("0", 0), (" 17 ", 17), ("007", 7)],
)
def test_seeds_are_the_papers_letters_or_numbers(text: str, seed: int) -> None:
    assert parse_seed(text) == seed


@given(SEEDS)
def test_every_seed_in_range_is_read_back(seed: int) -> None:
    assert parse_seed(str(seed)) == seed


@pytest.mark.parametrize("text", ["", "e", "ab", "abcd", "-1", "1.0", "1e3", "²", "٣", str(2**63)])
def test_other_seeds_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(FactError, match=r"give one of a, b, c, d .* or a whole number"):
        parse_seed(text)
