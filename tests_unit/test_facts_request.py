from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.errors import FactError
from editsuite.facts import EditRequest, subject_span

FACT = EditRequest("The capital of France is", "France", "Oslo", id="one")
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda t: t.strip())


@pytest.mark.parametrize("field", ["prompt", "subject", "target_new"])
@pytest.mark.parametrize("value", ["", "  ", "\n"])
def test_an_empty_required_field_is_named_with_its_fact(field: str, value: str) -> None:
    change: dict[str, Any] = {field: value}
    with pytest.raises(FactError, match=rf"fact one: field `{field}` is empty; fill it in"):
        replace(FACT, **change)


@pytest.mark.parametrize("field", ["rephrase", "locality_prompt", "relation"])
def test_an_optional_field_is_absent_or_filled(field: str) -> None:
    absent: dict[str, Any] = {field: None}
    empty: dict[str, Any] = {field: ""}
    assert getattr(replace(FACT, **absent), field) is None
    with pytest.raises(FactError, match=f"`{field}` is empty; leave it out"):
        replace(FACT, **empty)


def test_the_subject_must_occur_in_the_prompt() -> None:
    with pytest.raises(FactError, match=r"`subject` \('Spain'\) does not occur in the prompt"):
        replace(FACT, subject="Spain")


def test_a_locality_answer_needs_its_prompt() -> None:
    with pytest.raises(FactError, match="`locality_answer` stands without"):
        replace(FACT, locality_answer="Rome")


@pytest.mark.parametrize("value", [3, None, ["Oslo"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(FactError, match=r"`target_new` is .*, not text"):
        EditRequest("The capital of France is", "France", value)  # type: ignore[arg-type]


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(FactError, match="`target_new` holds half a surrogate"):
        replace(FACT, target_new="Oslo \ud83d")


def test_composed_and_combining_accents_are_one_fact() -> None:
    composed = EditRequest("Where does Zoë live?", "Zoë", "Łódź")
    combining = EditRequest(
        unicodedata.normalize("NFD", composed.prompt), "Zoë", unicodedata.normalize("NFD", "Łódź")
    )
    assert combining == composed
    assert combining.digest == composed.digest


@given(prefix=TEXT, subject=NAME, suffix=TEXT, target=NAME)
def test_text_is_changed_by_nfc_and_nothing_else(
    prefix: str, subject: str, suffix: str, target: str
) -> None:
    prompt = f"{prefix} {subject} {suffix}"
    try:
        fact = EditRequest(prompt, subject, target)
    except FactError:
        # A combining mark at the subject's edge joins the letter outside it.
        whole = unicodedata.normalize("NFC", prompt)
        assert unicodedata.normalize("NFC", subject) not in whole
        return
    assert fact.prompt == unicodedata.normalize("NFC", prompt)
    assert fact.target_new == unicodedata.normalize("NFC", target)


def test_braces_mean_nothing() -> None:
    fact = EditRequest("In {0} and {}, who is {Ann}?", "{Ann}", "{target}", rephrase="{subject}?")
    assert fact.prompt == "In {0} and {}, who is {Ann}?"
    assert subject_span(fact.prompt, fact.subject) == (22, 27)


def test_the_digest_is_of_the_content_and_of_all_of_it() -> None:
    full = EditRequest("Is A b?", "A", "c", "d A", "e", "f", "g", "h")
    assert replace(full, id="other").digest == full.digest
    changes = ["prompt", "target_new", "rephrase", "locality_prompt", "locality_answer", "relation"]
    changed = [replace(full, **{field: f"A and {field}"}) for field in changes]
    assert len({full.digest, *(fact.digest for fact in changed)}) == 1 + len(changes)
    assert re.fullmatch("[0-9a-f]{64}", full.digest)


def test_fields_cannot_run_into_each_other() -> None:
    one = EditRequest('A"],"', "A", "b")
    other = EditRequest("A", "A", '"],"b')
    assert one.digest != other.digest


def test_the_digest_is_the_same_in_another_process() -> None:
    code = (
        "from editsuite.facts import EditRequest;"
        "print(EditRequest('Where is Łódź?', 'Łódź', 'Peru').digest)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == EditRequest("Where is Łódź?", "Łódź", "Peru").digest


def test_an_id_is_made_where_none_is_given() -> None:
    fact = replace(FACT, id="")
    assert fact.id == f"fact-{fact.digest[:12]}"


def test_a_fact_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        FACT.prompt = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "subject", "start"),
    [
        ("France lies in", "France", 0),
        ("Hannah met Ann", "Ann", 11),
        ("Ann met Hannah", "Ann", 0),
        ("Ann, or Ann of Hannah", "Ann", 8),
        ("Who was Dickens's father?", "Dickens", 8),
        ("Hannah", "ann", 1),
        ("Johannesburg and hannover", "ann", 18),
        ("北京是中国的首都", "中国", 3),
        ("কা ক", "ক", 3),
        ("aaa", "aa", 1),
        ("A* (A*) and AA*", "A*", 4),
        ("the band .38 Special of .38 Special", ".38 Special", 24),
    ],
)
def test_the_last_whole_word_is_the_subject(text: str, subject: str, start: int) -> None:
    assert subject_span(text, subject) == (start, start + len(subject))


@given(prefix=TEXT, subject=NAME, suffix=TEXT)
def test_a_span_holds_the_subject_and_none_later_stands_alone(
    prefix: str, subject: str, suffix: str
) -> None:
    text = f"{prefix} {subject} {suffix}"
    start, end = subject_span(text, subject)
    assert text[start:end] == subject
    # Written between spaces there is a whole-word occurrence, so the one found is at or after it.
    assert start >= len(prefix) + 1


@pytest.mark.parametrize(("text", "subject"), [("Rome", "Paris"), ("", "Rome"), ("Rome", " ")])
def test_an_absent_subject_is_an_error(text: str, subject: str) -> None:
    with pytest.raises(FactError, match=r"does not occur|is empty"):
        subject_span(text, subject)
