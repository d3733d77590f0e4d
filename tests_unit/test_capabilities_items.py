"""Which items are asked depends on their ids, the number and the seed, and on nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.errors import MeasureError, OptionError
from editsuite.measures.capabilities.benchmark import BENCHMARKS, benchmark_of
from editsuite.measures.capabilities.items import choose_items, ids_of, spread_items

IDS = st.lists(st.text(max_size=4), unique=True, max_size=12)
SUBSETS = st.dictionaries(st.text(max_size=3), IDS, min_size=1, max_size=5)
SEEDS = st.integers(0, 5)
NUMBERS = st.integers(1, 30)


@given(IDS, NUMBERS, SEEDS)
def test_a_choice_is_the_start_of_a_larger_one(ids: list[str], wanted: int, seed: int) -> None:
    chosen = choose_items(ids, wanted, seed)
    assert chosen == choose_items(ids, wanted + 1, seed)[:wanted]
    assert chosen == choose_items(ids, "all", seed)[:wanted]
    assert len(chosen) == len(set(chosen)) == min(wanted, len(ids))
    assert set(chosen) <= set(ids)


@given(IDS, NUMBERS, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(
    ids: list[str], wanted: int, seed: int, shuffler: object
) -> None:
    other = list(ids)
    shuffler.shuffle(other)  # type: ignore[attr-defined]
    assert choose_items(other, wanted, seed) == choose_items(ids, wanted, seed)


@given(SUBSETS, NUMBERS, SEEDS)
def test_a_spread_is_even_and_grows_within_each_subset(
    subsets: dict[str, list[str]], wanted: int, seed: int
) -> None:
    chosen = spread_items(subsets, wanted, seed)
    assert sum(map(len, chosen.values())) == min(wanted, sum(map(len, subsets.values())))
    larger = spread_items(subsets, wanted + 1, seed)
    for name, own in chosen.items():
        assert own == choose_items(subsets[name], "all", seed)[: len(own)]
        assert own == larger[name][: len(own)]
    # Who has items left has at most one less than any other.
    most = max(map(len, chosen.values()))
    assert all(len(chosen[n]) >= most - 1 for n in subsets if len(chosen[n]) < len(subsets[n]))


@given(SUBSETS, NUMBERS, SEEDS)
def test_the_order_of_the_subsets_does_not_matter(
    subsets: dict[str, list[str]], wanted: int, seed: int
) -> None:
    other = dict(reversed(list(subsets.items())))
    assert spread_items(other, wanted, seed) == spread_items(subsets, wanted, seed)


def test_a_choice_is_the_same_on_every_machine() -> None:
    # `printf '[0, "a"]' | sha256sum` begins 4a29; b 83ea, c 2ba6, d db06, e 2c32, f 4147.
    assert "".join(choose_items("abcdef", "all", 0)) == "cefabd"


def test_another_seed_is_another_choice() -> None:
    ids = [str(number) for number in range(100)]
    assert choose_items(ids, 10, 0) != choose_items(ids, 10, 1)


@pytest.mark.parametrize("wanted", [0, -1, 2.5, "some"])
def test_no_such_number_of_items_is_refused(wanted: object) -> None:
    with pytest.raises(OptionError, match="give a number from 1, or all"):
        choose_items(["a"], wanted, 0)  # type: ignore[arg-type]


def test_one_id_for_two_items_is_refused() -> None:
    with pytest.raises(OptionError, match="'b' stands there twice"):
        choose_items(["a", "b", "b"], 1, 0)


def test_a_datasets_own_ids_are_kept_and_others_are_digests_of_the_content() -> None:
    assert ids_of([{"id": "x", "q": "1"}, {"id": 7, "q": "1"}]) == ("x", "7")
    one, other = ids_of([{"q": "1", "a": 2}, {"q": "1", "a": 3}])
    assert one != other
    assert ids_of([{"a": 2, "q": "1"}]) == (one,)  # in whatever order the fields stand


@given(st.lists(st.sampled_from("abc"), max_size=8))
def test_equal_documents_have_ids_of_their_own_in_any_order(letters: list[str]) -> None:
    ids = ids_of([{"q": letter} for letter in letters])
    assert len(set(ids)) == len(letters)
    assert sorted(ids) == sorted(ids_of([{"q": letter} for letter in reversed(letters)]))


def test_a_score_is_the_mean_over_subsets() -> None:
    bench = benchmark_of("mmlu.ppl")
    assert bench.score({"law": [1.0, 1.0, 1.0, 0.0], "art": [0.0], "none": []}) == 0.375
    with pytest.raises(MeasureError, match=r"mmlu\.ppl: no item was asked"):
        bench.score({"law": []})


def test_the_paper_asks_eight_benchmarks_for_eight_capabilities() -> None:
    asked = {one.name: (one.mode, one.shots) for one in BENCHMARKS.values() if one.paper}
    assert asked == {  # Table 6
        "mmlu": ("ppl", 5),
        "math": ("generation", 4),
        "bbh": ("generation_cot", 3),
        "axb": ("generation", 0),
        "commonsense_qa": ("generation", 8),
        "c3": ("generation", 0),
        "tydiqa_goldp": ("generation", 0),
        "mbpp": ("generation", 3),
    }
    assert len({one.capability for one in BENCHMARKS.values() if one.paper}) == 8
    with pytest.raises(OptionError, match=r"known are .*mmlu\.ppl"):
        benchmark_of("mmlu")
