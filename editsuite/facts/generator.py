"""Any number of further facts, from relation templates and invented names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib.resources import files
from itertools import count, islice
from typing import Any, TypeVar

import yaml

from editsuite.errors import FactError
from editsuite.facts.request import EditRequest

_SLOT = "{subject}"
_JOINED = frozenset({"place"})
_T = TypeVar("_T")


@dataclass(frozen=True)
class Relation:
    """Templates of one relation; each prompt and rephrase has `{subject}` once."""

    name: str
    kind: str
    prompts: tuple[str, ...]
    rephrases: tuple[str, ...]
    targets: tuple[str, ...]
    locality: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Templates:
    """Relations, and for each kind of name its first and second parts."""

    names: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    relations: tuple[Relation, ...]


def load_templates() -> Templates:
    """Read the package's `templates.yaml`.

    Raises:
        FactError: the file is missing or spoilt.
    """
    path = files("editsuite.facts").joinpath("data", "templates.yaml")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        names = {kind: _parts(parts) for kind, parts in raw["names"].items()}
        relations = tuple(_relation(entry) for entry in raw["relations"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise FactError(f"{path}: cannot be used ({error!r}); install again") from error
    return Templates(names, relations)


def generate_facts(
    n: int, seed: int = 0, *, taken: Set[str] = frozenset(), templates: Templates | None = None
) -> tuple[EditRequest, ...]:
    """Make n facts about n distinct invented subjects, the relations taking turns.

    The first facts are the same whatever n is asked for, on any platform and in any process:
    every choice is a SHA-256 of the seed, the fact's number and what is chosen.

    Args:
        n: how many.
        seed: another seed gives other subjects, wordings and targets.
        taken: subjects to stay away from; neither these nor names that contain them, or are
            contained in them, are used.
        templates: other templates than the package's.

    Raises:
        FactError: n is negative, or the templates have not that many names.
    """
    if n < 0:
        raise FactError(f"{n} facts cannot be generated; ask for 0 or more")
    return tuple(islice(_facts(templates or load_templates(), seed, taken), n))


def _facts(templates: Templates, seed: int, taken: Set[str]) -> Iterator[EditRequest]:
    used: set[str] = set()
    for number in count():
        key = f"{seed}:{number}"
        relation = templates.relations[number % len(templates.relations)]
        free = (
            name
            for name in _names(templates, relation.kind, key)
            if name not in used and not _clashes(name, taken)
        )
        subject = next(free, None)
        if subject is None:
            raise FactError(
                f"no new name of kind {relation.kind} after {number} generated facts; "
                "ask for fewer facts, or add name parts to the templates"
            )
        used.add(subject)
        yield _fact(relation, subject, key, f"generated-{seed}-{number}")


def _names(templates: Templates, kind: str, key: str) -> Iterator[str]:
    """All names of a kind, from a start that the key chooses."""
    first, second = templates.names[kind]
    glue = "" if kind in _JOINED else " "
    total = len(first) * len(second)
    start = _number(key)
    for step in range(total):
        row, column = divmod((start + step) % total, len(second))
        yield glue.join((first[row], second[column]))


def _clashes(name: str, taken: Set[str]) -> bool:
    return any(name in other or other in name for other in taken)


def _fact(relation: Relation, subject: str, key: str, identity: str) -> EditRequest:
    question, answer = _pick(relation.locality, f"{key}:locality")
    return EditRequest(
        prompt=_pick(relation.prompts, f"{key}:prompt").replace(_SLOT, subject),
        subject=subject,
        target_new=_pick(relation.targets, f"{key}:target"),
        rephrase=_pick(relation.rephrases, f"{key}:rephrase").replace(_SLOT, subject),
        locality_prompt=question,
        locality_answer=answer,
        relation=relation.name,
        id=identity,
    )


def _pick(choices: Sequence[_T], key: str) -> _T:
    return choices[_number(key) % len(choices)]


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest()[:8], "big")


def _parts(raw: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    first, second = (tuple(str(part).strip() for part in parts) for parts in raw.values())
    return first, second


def _relation(raw: Mapping[str, Any]) -> Relation:
    return Relation(
        name=str(raw["name"]),
        kind=str(raw["kind"]),
        prompts=tuple(raw["prompts"]),
        rephrases=tuple(raw["rephrases"]),
        targets=tuple(str(target) for target in raw["targets"]),
        locality=tuple((str(question), str(answer)) for question, answer in raw["locality"]),
    )
