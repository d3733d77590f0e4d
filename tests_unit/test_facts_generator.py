from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.errors import FactError
from editsuite.facts.generator import Relation, Templates, generate_facts, load_templates

RELATION = Relation(
    name="cargo",
    kind="ship",
    prompts=("What does {subject} carry?", "{subject} carries"),
    rephrases=("In the hold of {subject} lies",),
    targets=("rice", "coal", "silk"),
    locality=(("Snow is", "white"), ("Grass is", "green")),
)
SMALL = Templates({"ship": (("Sea", "Azure"), ("Otter", "Gull", "Star"))}, (RELATION,))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(0, 6), m=st.integers(0, 6))
def test_the_first_facts_are_the_same_whatever_n(seed: int, n: int, m: int) -> None:
    few, many = (generate_facts(k, seed, templates=SMALL) for k in sorted((n, m)))
    assert many[: len(few)] == few
    assert len(many) == max(n, m)


@given(seed=st.integers(0, 1000))
def test_every_name_is_used_before_the_names_run_out(seed: int) -> None:
    subjects = {fact.subject for fact in generate_facts(6, seed, templates=SMALL)}
    assert len(subjects) == 6
    with pytest.raises(FactError, match="no new name of kind ship after 6 generated facts; ask"):
        generate_facts(7, seed, templates=SMALL)


@given(taken=st.sets(st.sampled_from(["Sea Gull", "Azure", "Gull", "The Sea Star III"])))
def test_names_keep_away_from_taken_subjects(taken: set[str]) -> None:
    names = [f"{first} {second}" for first in ("Sea", "Azure") for second in SMALL.names["ship"][1]]
    free = {name for name in names if not any(name in t or t in name for t in taken)}
    facts = generate_facts(len(free), taken=taken, templates=SMALL)
    assert {fact.subject for fact in facts} == free


def test_relations_take_turns() -> None:
    templates = replace(SMALL, relations=(RELATION, replace(RELATION, name="crew")))
    relations = [fact.relation for fact in generate_facts(5, templates=templates)]
    assert relations == ["cargo", "crew", "cargo", "crew", "cargo"]


def test_seeds_differ() -> None:
    assert len({generate_facts(30, seed) for seed in range(4)}) == 4


def test_less_than_none_is_refused() -> None:
    with pytest.raises(FactError, match="ask for 0 or more"):
        generate_facts(-1)


def test_facts_are_the_same_in_another_process() -> None:
    code = (
        "from editsuite.facts.generator import generate_facts;"
        "print(' '.join(fact.digest for fact in generate_facts(20, 5)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [fact.digest for fact in generate_facts(20, 5)]


def test_the_packages_templates_are_well_formed() -> None:
    templates = load_templates()
    assert len(templates.relations) >= 12
    assert {relation.kind for relation in templates.relations} == set(templates.names)
    for relation in templates.relations:
        for text in (*relation.prompts, *relation.rephrases):
            assert text.count("{subject}") == 1, text
            assert text == text.strip()
        assert len(set(relation.targets)) == len(relation.targets)
    for first, second in templates.names.values():
        assert len(set(first)) * len(set(second)) == len(first) * len(second) >= 1500


@pytest.mark.parametrize("seed", [0, 1])
def test_the_package_has_names_for_more_than_a_thousand_facts(seed: int) -> None:
    facts = generate_facts(1500, seed)
    assert len({fact.subject for fact in facts}) == 1500
    assert len({fact.prompt for fact in facts}) == 1500
    assert all(str(fact.rephrase).count(fact.subject) == 1 for fact in facts)
