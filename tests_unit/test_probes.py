"""Probes hold what their rule keeps, and every item has one right answer and a text of its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

pytest.importorskip("lm_eval", reason="probes need the extra `capabilities`")

from benchmarks.calibrate_probes import (
    GUESSED,
    NARROW,
    PARTNER,
    RULE,
    SPARE,
    WRITTEN,
    WRONG,
    Measured,
    names,
    quartiles,
    reasons,
    room_of,
)
from editsuite.errors import MeasureError
from editsuite.facts.builtin import builtin_facts
from editsuite.measures.capabilities.probe import (
    Probe,
    known_probes,
    probe_settings,
    read_items,
    read_probe,
)

LEAST_ITEMS, LEAST_KINDS = 64, 6
#: Where an item's text and its kind stand, by the field names of the benchmarks' formats.
KINDS = ("kind", "subject", "task", "logic", "question_concept")
#: What one answer, or one place among the options, may be right for.
MOST_CONSTANT = 0.6


@pytest.fixture(params=known_probes())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def probe(name: str) -> Probe:
    return read_probe(name)


@pytest.fixture
def written(name: str) -> tuple[dict[str, Any], ...]:
    return read_items(WRITTEN / f"{name}.jsonl")


def texts(value: object) -> Iterator[str]:
    """All texts of an item's fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in ("id", "pair", *KINDS):
                yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def plain(text: str) -> str:
    """A text without what does not tell it from another."""
    return " ".join(re.findall(r"[\w=+/-]+", text.casefold()))


def asked(probe: Probe) -> list[str]:
    """The prompts, without examples."""
    task = probe.task()
    return [plain(task.doc_to_text(document)) for document in task.test_docs()]


def test_every_probe_was_written_in_surplus(name: str, probe: Probe) -> None:
    assert name in names()
    assert LEAST_ITEMS <= len(probe.items) <= RULE.most
    assert len(probe.items) < len(read_items(WRITTEN / f"{name}.jsonl"))


def test_what_is_kept_is_what_the_rule_keeps(
    name: str, probe: Probe, written: tuple[dict[str, Any], ...]
) -> None:
    found = [Measured(**line) for line in read_items(WRITTEN / f"{name}.measured.jsonl")]
    assert [one.id for one in found] == [item["id"] for item in written]
    discarded = read_items(WRITTEN / f"{name}.discarded.jsonl")
    recorded = {line["id"]: line["reason"] for line in discarded}
    # What is right without the passage is found by asking; what follows from it is not.
    guessed = {key for key, reason in recorded.items() if reason == GUESSED}
    least = RULE.least[probe.settings["output_type"]]
    left = reasons(written, found, least, room_of(probe.settings), guessed)
    assert probe.items == tuple(item for item in written if item["id"] not in left)
    assert recorded == left


def test_no_item_stands_twice(name: str, probe: Probe, written: tuple[dict[str, Any], ...]) -> None:
    ids = [item["id"] for item in written]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+-\d{3}[ab]?", key) for key in ids)
    all_written = asked(Probe(name, probe.settings, written))
    assert [text for text, n in Counter(all_written).items() if n > 1] == []


def test_no_example_is_an_item(
    name: str, probe: Probe, written: tuple[dict[str, Any], ...]
) -> None:
    samples = tuple(probe.settings.get("fewshot_config", {}).get("samples", ()))
    examples = set(asked(Probe(name, probe.settings, samples))) if samples else set()
    assert len(samples) == probe.settings.get("num_fewshot", 0)
    assert examples.isdisjoint(asked(Probe(name, probe.settings, written)))


def test_every_answer_is_one_of_distinct_options(
    name: str, probe: Probe, written: tuple[dict[str, Any], ...]
) -> None:
    task = Probe(name, probe.settings, written).task()
    for document in task.test_docs():
        target = task.doc_to_target(document)
        if probe.settings["output_type"] != "multiple_choice":
            assert target, document
            continue
        choices = list(task.doc_to_choice(document))
        right = choices.index(target) if isinstance(target, str) else target
        assert 0 <= right < len(choices)
        assert len(set(map(plain, choices))) == len(choices) > 1, document


def test_no_constant_answer_gets_far(probe: Probe) -> None:
    task = probe.task()
    places: Counter[str] = Counter()
    for document in task.test_docs():
        target = task.doc_to_target(document)
        if probe.settings["output_type"] != "multiple_choice":
            places[f"says {target}"] += 1
            continue
        choices = list(task.doc_to_choice(document))
        right = choices.index(target) if isinstance(target, str) else int(target)
        lengths = [len(choice) for choice in choices]
        places[f"place {right}"] += 1
        places["shortest"] += lengths[right] == min(lengths) and lengths.count(min(lengths)) == 1
        places["longest"] += lengths[right] == max(lengths) and lengths.count(max(lengths)) == 1
    assert max(places.values()) <= MOST_CONSTANT * len(probe.items), places


def test_the_items_are_of_many_kinds(probe: Probe) -> None:
    kinds = {next((item[key] for key in KINDS if key in item), None) for item in probe.items}
    assert None in kinds or len(kinds) >= LEAST_KINDS


def test_pairs_are_whole_and_ask_the_same_of_two_texts() -> None:
    """Of entailment, each second sentence stands behind two first ones with unlike labels."""
    probe = read_probe("entailment")
    labels = Counter(item["label"] for item in probe.items)
    assert labels["entailment"] == labels["not_entailment"]
    for pair in {item["pair"] for item in probe.items}:
        one, other = (item for item in probe.items if item["pair"] == pair)
        assert one["sentence1"] != other["sentence1"]
        assert one["sentence2"] == other["sentence2"]
        assert one["opposite"] == other["opposite"]
        assert {one["label"], other["label"]} == {"entailment", "not_entailment"}


def test_no_item_is_about_the_subject_of_a_fact(written: tuple[dict[str, Any], ...]) -> None:
    """What an edit changes on purpose is no damage."""
    facts = builtin_facts()
    subjects = {request.subject.casefold() for request in (*facts.requests, *facts.tail)}
    assert len(subjects) > len(facts.requests) / 2
    pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(subjects))) + r")\b")
    found = {
        item["id"]: hit.group()
        for item in written
        for text in texts(item)
        if (hit := pattern.search(text.casefold()))
    }
    assert found == {}


def one(key: str, margin: float, right: bool = True) -> Measured:
    return Measured(key, right, margin)


def test_the_rule_on_a_made_up_case() -> None:
    items: list[dict[str, Any]] = [
        {"id": "easy"},
        {"id": "wrong"},
        {"id": "narrow"},
        {"id": "just"},
        {"id": "a", "pair": "1"},
        {"id": "b", "pair": "1"},
        {"id": "c", "pair": "2"},
        {"id": "d", "pair": "2"},
    ]
    found = [
        one("easy", 9.0),
        one("wrong", -1.0, right=False),
        one("narrow", 0.29),
        one("just", 0.3),
        one("a", 0.5),
        one("b", 4.0),
        one("c", 2.0),
        one("d", 0.1),
    ]
    always = {"wrong": WRONG, "narrow": NARROW, "c": PARTNER, "d": NARROW}
    assert reasons(items, found, 0.3, 4) == always
    assert reasons(items, found, 0.3, 3) == {"easy": SPARE, **always}
    assert reasons(items, found, 0.3, 1) == {"easy": SPARE, "a": SPARE, "b": SPARE, **always}


def test_quartiles_of_few() -> None:
    assert quartiles([2.0]) == [2.0, 2.0, 2.0]
    assert quartiles([1.0, 2.0, 3.0]) == [1.0, 2.0, 3.0]


def test_an_unknown_probe_is_told_with_those_there_are() -> None:
    with pytest.raises(MeasureError, match=r"'cookery'.*knowledge"):
        probe_settings("cookery")


def test_a_spoilt_file_is_named(tmp_path: Any) -> None:
    path = tmp_path / "spoilt.jsonl"
    path.write_text('{"id": 1}\n{"id"\n', encoding="utf-8")
    with pytest.raises(MeasureError, match=re.escape(str(path))):
        read_items(path)
