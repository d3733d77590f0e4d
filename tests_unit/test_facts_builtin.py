from __future__ import annotations

import re
from collections import Counter

import pytest

from editsuite.facts import EditRequest, FactSet, load_facts, target_tokens
from editsuite.facts.builtin import TOTAL
from tests_unit.tokenizers_ import smollm2_tokenizer

OVERLAP = 0.34


@pytest.fixture(scope="module")
def builtin() -> FactSet:
    return load_facts("builtin")


@pytest.fixture(scope="module")
def every(builtin: FactSet) -> tuple[EditRequest, ...]:
    return builtin.order(0)


def words(text: str, subject: str) -> set[str]:
    return set(re.findall(r"\w+", text.replace(subject, " ").lower()))


def test_there_are_enough_facts_over_enough_relations(builtin: FactSet) -> None:
    relations = Counter(fact.relation for fact in builtin.requests)
    assert len(builtin) >= 300
    assert None not in relations
    assert len(relations) >= 25
    assert min(relations.values()) >= 6
    assert builtin.rejected == ()


def test_both_forms_are_there_in_every_relation(builtin: FactSet) -> None:
    questions = Counter(fact.relation for fact in builtin.requests if fact.prompt.endswith("?"))
    relations = Counter(fact.relation for fact in builtin.requests)
    assert all(0 < questions[relation] < count for relation, count in relations.items())


def test_an_order_is_long_and_begins_with_the_written_ones(builtin: FactSet) -> None:
    order = builtin.order(0)
    assert len(order) == TOTAL == 2000
    assert set(order[: len(builtin)]) == set(builtin.requests)
    assert order[:100] != builtin.order(1)[:100]


def test_subjects_are_distinct_and_none_is_within_another_written_one(
    builtin: FactSet, every: tuple[EditRequest, ...]
) -> None:
    assert len({fact.subject for fact in every}) == len(every)
    text = "\n".join(fact.subject for fact in every)
    assert [f.subject for f in builtin.requests if text.count(f.subject) > 1] == []


def test_a_subject_occurs_once_in_its_prompt_and_once_in_its_rephrase(
    every: tuple[EditRequest, ...],
) -> None:
    for fact in every:
        assert fact.prompt.count(fact.subject) == 1, fact.id
        assert str(fact.rephrase).count(fact.subject) == 1, fact.id


def test_a_rephrase_shares_few_words_with_its_prompt(every: tuple[EditRequest, ...]) -> None:
    for fact in every:
        prompt = words(fact.prompt, fact.subject)
        rephrase = words(str(fact.rephrase), fact.subject)
        assert len(prompt & rephrase) <= OVERLAP * len(prompt | rephrase), fact.id


def test_locality_is_about_something_else_and_has_an_answer(
    every: tuple[EditRequest, ...],
) -> None:
    for fact in every:
        assert fact.locality_prompt is not None, fact.id
        assert fact.locality_answer is not None, fact.id
        assert fact.subject not in fact.locality_prompt, fact.id


def test_no_locality_prompt_is_about_a_subject_that_is_edited(builtin: FactSet) -> None:
    prompts = "\n".join(str(fact.locality_prompt) for fact in builtin.requests)
    subjects = {fact.subject for fact in builtin.requests}
    assert [s for s in subjects if re.search(rf"(?<!\w){re.escape(s)}(?!\w)", prompts)] == []


def test_no_target_stands_in_its_prompt_and_no_text_has_loose_ends(
    every: tuple[EditRequest, ...],
) -> None:
    for fact in every:
        assert not re.search(rf"\b{re.escape(fact.target_new)}\b", fact.prompt), fact.id
        for text in (fact.prompt, fact.subject, fact.target_new, str(fact.rephrase)):
            assert text == " ".join(text.split()), fact.id
        assert not fact.target_new.endswith("."), fact.id


@pytest.mark.real_model
def test_targets_have_one_to_four_tokens(every: tuple[EditRequest, ...]) -> None:
    tokenizer = smollm2_tokenizer()
    lengths = {
        fact.id: len(target_tokens(tokenizer, fact.prompt, fact.target_new).target_ids)
        for fact in every
    }
    assert {name: length for name, length in lengths.items() if not 1 <= length <= 4} == {}
