"""The probes of reading, languages and code: what was written holds, and what was kept of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from editsuite.facts.builtin import builtin_facts

pytest.importorskip(
    "lm_eval", reason="lm-eval is not installed: the extra `capabilities` is absent"
)

from editsuite.measures.capabilities.passages import normalised, overlap
from editsuite.measures.capabilities.probe import FOLDER, Probe, read_items, read_probe

WRITTEN = Path(__file__).parents[1] / "benchmarks" / "probes"
NAMES = ("reading", "multilingual", "code")
LEAST, LANGUAGES, LEAST_OF_LANGUAGE = 64, 4, 12

Item = dict[str, Any]


@cache
def written(name: str) -> tuple[Item, ...]:
    return read_items(WRITTEN / f"{name}.jsonl")


@cache
def kept(name: str) -> Probe:
    return read_probe(name)


def content(item: Item) -> str:
    """All that an item says, without its id."""
    return json.dumps({key: item[key] for key in sorted(item) if key != "id"}, ensure_ascii=False)


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_and_no_item_stands_there_twice(name: str) -> None:
    items = written(name)
    assert len({item["id"] for item in items}) == len(items)
    assert len({content(item) for item in items}) == len(items)
    asked = Counter(
        f"{item.get('context')}{item.get('question')}{item.get('text')}" for item in items
    )
    assert asked.most_common(1)[0][1] == 1


@pytest.mark.parametrize("name", NAMES)
def test_enough_items_are_kept_and_each_is_one_that_was_written(name: str) -> None:
    own = {item["id"]: item for item in written(name)}
    assert len(kept(name).items) >= LEAST
    assert all(own[item["id"]] == item for item in kept(name).items)
    assert (FOLDER / f"{name}.yaml").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_every_item_was_kept_or_left_out_for_a_reason(name: str) -> None:
    discarded = {item["id"] for item in read_items(WRITTEN / f"{name}.discarded.jsonl")}
    assert discarded.isdisjoint(item["id"] for item in kept(name).items)
    assert discarded | {item["id"] for item in kept(name).items} == {
        item["id"] for item in written(name)
    }


@pytest.mark.parametrize("name", NAMES)
def test_no_example_of_the_prompt_is_an_item(name: str) -> None:
    samples = kept(name).settings.get("fewshot_config", {}).get("samples", ())
    for key in ("text", "code", "question", "context"):
        shown = {sample[key] for sample in samples if key in sample}
        assert shown.isdisjoint(
            item[key] for item in written(name) if isinstance(item.get(key), str)
        )


@pytest.mark.parametrize("name", NAMES)
def test_no_item_speaks_of_a_subject_of_the_built_in_facts(name: str) -> None:
    facts = builtin_facts()
    subjects = {request.subject for request in (*facts.requests, *facts.tail)}
    pattern = re.compile("|".join(rf"\b{re.escape(subject)}\b" for subject in subjects))
    assert [item["id"] for item in written(name) if pattern.search(content(item))] == []


def test_the_right_option_stands_once_among_distinct_ones_and_in_the_passage() -> None:
    for item in written("reading"):
        assert len(set(item["choice"])) == len(item["choice"]) == 3, item["id"]
        assert item["choice"].count(item["answer"]) == 1, item["id"]
        assert item["answer"] in "".join(item["context"]), item["id"]


def test_the_right_option_has_no_place_of_its_own() -> None:
    places = Counter(item["choice"].index(item["answer"]) for item in kept("reading").items)
    assert max(places.values()) <= len(kept("reading").items) / 2


def test_answers_are_spans_of_their_passages() -> None:
    for item in written("multilingual"):
        (text,), (start,) = item["answers"]["text"], item["answers"]["answer_start"]
        assert item["context"][start : start + len(text)] == text, item["id"]
        assert overlap(text, text) == 1.0, item["id"]


def test_the_beginning_of_an_answer_does_not_tell_it() -> None:
    for item in written("multilingual"):
        (text,) = item["answers"]["text"]
        given = normalised(f"{item['question']} {item['lead']}").split()
        assert any(word not in given for word in normalised(text).split()), item["id"]


def test_an_answer_ends_where_a_stop_string_stands() -> None:
    stops = tuple(kept("multilingual").settings["generation_kwargs"]["until"])
    for item in written("multilingual"):
        (text,), (start,) = item["answers"]["text"], item["answers"]["answer_start"]
        assert not any(stop in text for stop in stops), item["id"]
        assert item["context"][start + len(text) :].startswith(stops), item["id"]


def test_there_are_languages_enough_with_items_enough() -> None:
    counts = Counter(item["language"] for item in kept("multilingual").items)
    assert sum(count >= LEAST_OF_LANGUAGE for count in counts.values()) >= LANGUAGES
    assert min(counts.values()) >= LEAST_OF_LANGUAGE


def test_programs_have_three_checks_and_are_python() -> None:
    for item in written("code"):
        compile(item["code"], item["id"], "exec")
        assert len(set(item["test_list"])) == 3, item["id"]
        for check in item["test_list"]:
            compile(check, item["id"], "exec")


def test_functions_have_names_of_their_own() -> None:
    names = [re.match(r"def (\w+)\(", item["code"]) for item in written("code")]
    assert all(names)
    assert len({name[1] for name in names if name}) == len(names)
