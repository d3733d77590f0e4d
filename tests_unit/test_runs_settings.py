"""Counts, layers and tiers, and the store of looks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.errors import OptionError
from editsuite.runs import (
    TIERS,
    LookStore,
    RunSettings,
    parse_counts,
    parse_layers,
    tier_counts,
)
from editsuite.runs.settings import parse_overrides

NUMBERS = st.lists(st.integers(1, 10**8), min_size=1)


@settings(deadline=None)
@given(NUMBERS)
def test_numbers_are_sorted_and_named_once(numbers: list[int]) -> None:
    text = " , ".join(map(str, numbers))
    assert parse_counts(text) == parse_layers(text) == tuple(sorted(set(numbers)))


@pytest.mark.parametrize("text", ["", "1,", "1.5", "-1", "1 2", "one", "²", "1" * 10, ",", "٣"])
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    for parse, option in ((parse_counts, "--edit-counts"), (parse_layers, "--edit-layers")):
        with pytest.raises(OptionError, match=option):
            parse(text)


def test_layers_begin_at_0_and_counts_at_1() -> None:
    assert parse_layers("0") == (0,)
    with pytest.raises(OptionError, match="none under 1"):
        parse_counts("0,1")


def test_a_smaller_tier_is_part_of_the_next() -> None:
    smoke, standard, paper = (set(tier_counts(name)) for name in ("smoke", "standard", "paper"))
    assert smoke < standard < paper
    with pytest.raises(OptionError, match=", ".join(sorted(TIERS))):
        tier_counts("huge")


def test_what_names_the_method_goes_before_what_names_none(tmp_path: Path) -> None:
    given = parse_overrides("v_lr=0.5 grace.v_lr=2 memit.mom2_corpus='file:a b.txt' resume=false")
    run = RunSettings("m", "builtin", (1,), None, 0, "cpu", "float32", tmp_path, given)
    assert run.hyperparameters_of("grace") == {"v_lr": 2, "resume": False}
    assert run.hyperparameters_of("memit") == {
        "v_lr": 0.5,
        "resume": False,
        "mom2_corpus": "file:a b.txt",
    }
    assert parse_overrides("") == {}


@pytest.mark.parametrize("text", ["v_lr", "=3", "v_lr=", "a=1 b", "a='1", "a=[1"])
def test_what_gives_no_value_to_a_name_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--edit-set"):
        parse_overrides(text)


SEEN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=25, deadline=None)  # each is written through to the disk
@given(seen=st.dictionaries(st.text(), SEEN))
def test_a_look_is_read_as_it_was_kept(
    tmp_path_factory: pytest.TempPathFactory, seen: dict[str, object]
) -> None:
    root = tmp_path_factory.getbasetemp() / "looks-of-any-kind"
    key = LookStore(root).key(repr(seen))
    assert LookStore(root).put(key, seen) == seen
    assert LookStore(root).get(key) == seen


def test_nan_survives(tmp_path: Path) -> None:
    store = LookStore(tmp_path)
    store.put(store.key("a"), {"nll": [math.nan, math.inf]})
    nan, inf = LookStore(tmp_path).get(store.key("a"))["nll"]
    assert math.isnan(nan)
    assert inf == math.inf


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"checksum": "0", "seen": 1}'])
def test_a_damaged_look_is_no_look(tmp_path: Path, damage: str) -> None:
    store = LookStore(tmp_path)
    key = store.key("a")
    store.put(key, {"x": 1})
    (file,) = tmp_path.rglob("*.json")
    file.write_text(damage)
    assert LookStore(tmp_path).get(key) is None
    assert LookStore(tmp_path).put(key, {"x": 1}) == LookStore(tmp_path).get(key)


def test_spaces_do_not_see_each_other(tmp_path: Path) -> None:
    assert LookStore(tmp_path).key("a") != LookStore(tmp_path, "other").key("a")
    assert LookStore(tmp_path).key("ab", "c") != LookStore(tmp_path).key("a", "bc")
