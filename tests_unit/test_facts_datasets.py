"""The readers on the real datasets; skipped where these are absent."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from editsuite.facts import EditRequest, FactSet, load_facts, subject_last_token, subject_span
from tests_unit.datasets_ import dataset_file
from tests_unit.tokenizers_ import byte_level_bpe, metaspace_bpe


def zsre_file() -> Path:
    return dataset_file("zsre", "zsre_mend_train-1k.json")


def counterfact_file() -> Path:
    return dataset_file("counterfact", "counterfact-edit.json")


@pytest.fixture(scope="module")
def zsre() -> FactSet:
    return load_facts(f"zsre:{zsre_file()}")


@pytest.fixture(scope="module")
def counterfact() -> FactSet:
    return load_facts(f"counterfact:{counterfact_file()}")


def test_zsre_reports_its_two_empty_targets_and_loads_the_rest(zsre: FactSet) -> None:
    assert len(zsre) == 998
    assert [(bad.record, bad.reason) for bad in zsre.rejected] == [
        (534, "field `alt` is empty"),
        (723, "field `alt` is empty"),
    ]


def test_counterfact_reports_only_repeated_prompts(counterfact: FactSet) -> None:
    assert len(counterfact) + len(counterfact.rejected) == 10000
    assert all("repeat record" in bad.reason for bad in counterfact.rejected)


def test_ten_thousand_records_load_in_two_seconds_of_processor_time() -> None:
    path = counterfact_file()
    start = time.process_time()
    load_facts(str(path))
    assert time.process_time() - start < 2


def test_form_and_name_are_found_without_being_told(zsre: FactSet) -> None:
    assert load_facts(str(zsre_file())).digest == zsre.digest
    assert load_facts(str(counterfact_file())).name == "counterfact"


@pytest.mark.parametrize("dataset", ["zsre", "counterfact"])
def test_every_subject_is_found(dataset: str, request: pytest.FixtureRequest) -> None:
    facts: FactSet = request.getfixturevalue(dataset)
    tokenizers = (byte_level_bpe(), metaspace_bpe())
    for fact in facts.requests:
        start, end = subject_span(fact.prompt, fact.subject)
        assert fact.prompt[start:end] == fact.subject
    for fact in facts.order(0)[:300]:
        for tokenizer in tokenizers:
            assert subject_last_token(tokenizer, fact.prompt, fact.subject) >= 0


def test_no_built_in_text_stands_in_a_dataset(zsre: FactSet, counterfact: FactSet) -> None:
    def texts(fact: EditRequest) -> set[str]:
        return {fact.prompt.lower(), str(fact.rephrase).lower()}

    theirs = {text for fact in (*zsre.requests, *counterfact.requests) for text in texts(fact)}
    ours = {text for fact in load_facts("builtin").order(0) for text in texts(fact)}
    assert ours & theirs == set()
