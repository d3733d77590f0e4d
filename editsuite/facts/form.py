"""The forms in which facts are written, told apart by the keys of the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from editsuite.errors import FactError, listing
from editsuite.facts.policy import Build, OnBad
from editsuite.facts.records import field_text, optional_text
from editsuite.facts.request import EditRequest


@dataclass(frozen=True)
class Form:
    """One way to write a fact as a record.

    Attributes:
        name: the form, for messages.
        dataset: the dataset that is written so, as `DATASET:PATH` names it.
        fits: tells by its keys whether a record is of this form (it may still be a bad one).
        build: makes the fact.
        on_bad: what happens to bad records unless the caller says otherwise.
    """

    name: str
    dataset: str
    fits: Callable[[Mapping[str, Any]], bool]
    build: Build
    on_bad: OnBad


def detect(records: Iterable[object], forms: Sequence[Form], source: str) -> Form:
    """The first form that the first recognisable record fits.

    Raises:
        FactError: no record fits any of the forms.
    """
    keys: list[str] = []
    for record in records:
        if not isinstance(record, Mapping):
            continue
        for form in forms:
            if form.fits(record):
                return form
        keys = keys or [str(key) for key in record]
    raise FactError(
        f"{source}: no record is of a known form (keys of the first: {listing(keys)}); "
        f"known forms: {listing(form.name for form in forms)}"
    )


def _own(record: Mapping[str, Any], identity: str) -> EditRequest:
    return EditRequest(
        prompt=field_text(record, "prompt"),
        subject=field_text(record, "subject"),
        target_new=field_text(record, "target_new"),
        rephrase=optional_text(record, "rephrase"),
        locality_prompt=optional_text(record, "locality_prompt"),
        locality_answer=optional_text(record, "locality_answer"),
        relation=optional_text(record, "relation"),
        id=optional_text(record, "id") or identity,
    )


OWN = Form(
    name="editsuite (prompt, subject, target_new, rephrase, ...)",
    dataset="facts",
    fits=lambda record: "prompt" in record and "target_new" in record,
    build=_own,
    on_bad="refuse",
)
"""The fields of `EditRequest` by their own names, as in the built-in set."""
