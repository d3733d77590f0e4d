from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from editsuite.errors import FactError
from editsuite.facts import EditRequest, FactSet, load_facts

MEND = {
    "subject": "Orla Works",
    "src": "What does Orla Works make?",
    "pred": "shoes",
    "rephrase": "Which product comes from Orla Works?",
    "alt": "gliders",
    "answers": ["shoes"],
    "loc": "nq question: who wrote hamlet",
    "loc_ans": "William Shakespeare",
    "cond": "shoes >> gliders || What does Orla Works make?",
}
KNOWEDIT = {
    "subject": "Orla Works",
    "prompt": "What does Orla Works make?",
    "target_new": "gliders",
    "ground_truth": ["shoes"],
    "rephrase_prompt": "Which product comes from Orla Works?",
    "locality": {
        "Relation_Specificity": [
            {"prompt": "Orla Works has its seat in", "ground_truth": [["Oslo", "Kristiania"]]},
            {"prompt": "Orla Works seat", "ground_truth": ["Oslo"]},
        ]
    },
    "portability": {"Reasoning": [{"prompt": "Do they fly?", "ground_truth": "yes"}]},
}
FLAT = {
    "case_id": 7,
    "prompt": "The mother tongue of Ilse Marchetti is",
    "target_new": "Korean",
    "subject": "Ilse Marchetti",
    "ground_truth": "German",
    "rephrase_prompt": "At home Ilse Marchetti speaks",
    "locality_prompt": "The mother tongue of Goethe is",
    "locality_ground_truth": "German",
}
NESTED = {
    "case_id": 7,
    "requested_rewrite": {
        "prompt": "The mother tongue of {} is",
        "relation_id": "P103",
        "target_new": {"str": "Korean", "id": "Q1"},
        "target_true": {"str": "German", "id": "Q2"},
        "subject": "Ilse Marchetti",
    },
    "paraphrase_prompts": ["At home Ilse Marchetti speaks", "Ilse Marchetti, a native"],
    "neighborhood_prompts": ["The mother tongue of Goethe is", "Schiller spoke"],
    "attribute_prompts": [],
    "generation_prompts": [],
}


def load(folder: Path, records: list[Any], **options: Any) -> FactSet:
    # A name that tells nothing: the form is told by the keys alone.
    path = folder / "records.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return load_facts(str(path), **options)


def only(folder: Path, record: dict[str, Any]) -> EditRequest:
    (fact,) = load(folder, [record]).requests
    return fact


def test_mend_form(tmp_path: Path) -> None:
    assert only(tmp_path, MEND) == EditRequest(
        prompt="What does Orla Works make?",
        subject="Orla Works",
        target_new="gliders",
        rephrase="Which product comes from Orla Works?",
        locality_prompt="nq question: who wrote hamlet",
        locality_answer="William Shakespeare",
        id="zsre-0",
    )


def test_knowedit_form(tmp_path: Path) -> None:
    assert only(tmp_path, KNOWEDIT) == EditRequest(
        prompt="What does Orla Works make?",
        subject="Orla Works",
        target_new="gliders",
        rephrase="Which product comes from Orla Works?",
        locality_prompt="Orla Works has its seat in",
        locality_answer="Oslo",
        id="zsre-0",
    )


def test_both_counterfact_forms_give_the_same_fact(tmp_path: Path) -> None:
    flat = only(tmp_path, FLAT)
    assert flat == EditRequest(
        prompt="The mother tongue of Ilse Marchetti is",
        subject="Ilse Marchetti",
        target_new="Korean",
        rephrase="At home Ilse Marchetti speaks",
        locality_prompt="The mother tongue of Goethe is",
        locality_answer="German",
        id="counterfact-0",
    )
    nested = only(tmp_path, NESTED)
    assert nested.relation == "P103"
    assert replace(nested, relation=None) == flat


def test_an_empty_alt_is_reported_and_never_replaced_by_the_true_answer(tmp_path: Path) -> None:
    read = load(tmp_path, [MEND, MEND | {"src": "Where is Orla Works?", "alt": ""}])
    assert len(read) == 1
    assert [(bad.record, bad.reason) for bad in read.rejected] == [(1, "field `alt` is empty")]


def test_without_any_alt_the_first_answer_is_the_target(tmp_path: Path) -> None:
    record = {key: value for key, value in MEND.items() if key != "alt"}
    assert only(tmp_path, record).target_new == "shoes"


@pytest.mark.parametrize(
    ("record", "key"), [(MEND, "loc"), (KNOWEDIT, "locality"), (FLAT, "locality_prompt")]
)
def test_locality_may_be_missing(tmp_path: Path, record: dict[str, Any], key: str) -> None:
    fact = only(tmp_path, {name: value for name, value in record.items() if name != key})
    assert fact.locality_prompt is None
    assert fact.locality_answer is None


def test_knowedits_second_kind_of_locality_is_taken_where_the_first_is_missing(
    tmp_path: Path,
) -> None:
    asked = {"prompt": ["Was it shoes?"], "ground_truth": ["yes"]}
    record = KNOWEDIT | {"locality": {"Relation_Specificity": [], "Forgetfulness": [asked]}}
    fact = only(tmp_path, record)
    assert (fact.locality_prompt, fact.locality_answer) == ("Was it shoes?", "yes")


@pytest.mark.parametrize(
    ("record", "field", "key"),
    [
        (MEND, "src", "src"),
        (MEND, "subject", "subject"),
        (KNOWEDIT, "target_new", "target_new"),
        (FLAT, "prompt", "prompt"),
        (FLAT, "target_new", "target_new"),
        (NESTED, "requested_rewrite.subject", "requested_rewrite"),
    ],
)
def test_a_missing_field_is_named_as_the_file_names_it(
    tmp_path: Path, record: dict[str, Any], field: str, key: str
) -> None:
    bad = {name: value for name, value in record.items() if name != key}
    read = load(tmp_path, [record, bad])
    assert [(r.record, r.reason) for r in read.rejected] == [(1, f"field `{field}` is missing")]
    with pytest.raises(FactError, match=rf"records\.json, record 1: field `{field}` is missing"):
        load(tmp_path, [record, bad], on_bad="refuse")


@pytest.mark.parametrize("value", [5, {"a": 1}, True])
def test_a_field_that_is_no_text_is_reported(tmp_path: Path, value: object) -> None:
    read = load(tmp_path, [FLAT, FLAT | {"prompt": "x Ilse Marchetti", "target_new": value}])
    assert "field `target_new` is" in read.rejected[0].reason


def test_a_record_that_is_no_object_is_reported(tmp_path: Path) -> None:
    read = load(tmp_path, [None, FLAT, "text"])
    assert [bad.record for bad in read.rejected] == [0, 2]
    assert read.requests[0].id == "counterfact-1"


@pytest.mark.parametrize("target", ["Korean", "Basque"])
def test_a_second_edit_of_a_prompt_is_a_duplicate(tmp_path: Path, target: str) -> None:
    read = load(tmp_path, [FLAT, FLAT | {"target_new": target}])
    assert [fact.target_new for fact in read.requests] == ["Korean"]
    assert "repeat record 0" in read.rejected[0].reason


def test_white_space_around_a_value_belongs_to_the_file(tmp_path: Path) -> None:
    assert only(tmp_path, MEND | {"alt": " gliders\n"}).target_new == "gliders"


def test_braces_of_a_subject_and_of_a_flat_prompt_stay(tmp_path: Path) -> None:
    rewrite = NESTED["requested_rewrite"] | {"subject": "{} {0} {x}"}  # type: ignore[operator]
    fact = only(tmp_path, NESTED | {"requested_rewrite": rewrite})
    assert fact.prompt == "The mother tongue of {} {0} {x} is"
    flat = only(tmp_path, FLAT | {"prompt": "In {}: Ilse Marchetti speaks {"})
    assert flat.prompt == "In {}: Ilse Marchetti speaks {"


@pytest.mark.parametrize("template", ["The mother tongue of X is", "{} and {}"])
def test_a_nested_prompt_has_one_place_for_its_subject(tmp_path: Path, template: str) -> None:
    rewrite = NESTED["requested_rewrite"] | {"prompt": template}  # type: ignore[operator]
    read = load(tmp_path, [NESTED, NESTED | {"requested_rewrite": rewrite}])
    assert "has not exactly one place {}" in read.rejected[0].reason
