"""The probes of reading, languages and code: what was written holds, and what was kept of it."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "lm_eval", reason="lm-eval is not installed: the extra `capabilities` is absent"
)

from editsuite.errors import SandboxError
from editsuite.measures.capabilities.passages import normalised, overlap
from editsuite.measures.capabilities.probe import Probe, read_items, read_probe
from editsuite.sandbox import Program, Sandbox

WRITTEN = Path(__file__).parents[1] / "benchmarks" / "probes"
LANGUAGES, LEAST_OF_LANGUAGE = 4, 12

Item = dict[str, Any]


@cache
def written(name: str) -> tuple[Item, ...]:
    return read_items(WRITTEN / f"{name}.jsonl")


@cache
def kept(name: str) -> Probe:
    return read_probe(name)


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


def test_every_reference_passes_its_checks_and_none_of_anothers() -> None:
    try:
        sandbox = Sandbox.open()
    except SandboxError as error:
        pytest.skip(str(error))
    items = kept("code").items
    with sandbox:
        own = [Program(item["code"], tuple(item["test_list"])) for item in items]
        others = [Program(items[-1]["code"], tuple(item["test_list"])) for item in items[:8]]
        assert [verdict.passed for verdict in sandbox.run(own)] == [True] * len(items)
        assert [verdict.passed for verdict in sandbox.run(others)] == [False] * len(others)
