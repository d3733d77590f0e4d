"""What happens to bad records: refused at the first, or left out and reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

from editsuite.errors import FactError, listing
from editsuite.facts.factset import FactSet, Rejection
from editsuite.facts.request import EditRequest, FieldError

OnBad = Literal["refuse", "report"]
Build = Callable[[Mapping[str, Any], str], EditRequest]


def collect(
    name: str, source: str, records: Iterable[object], build: Build, on_bad: OnBad
) -> FactSet:
    """Turn records into a fact set by one policy for bad ones.

    Args:
        name: name of the set, and first part of the facts' ids.
        source: the file, for messages.
        records: parsed JSON values, numbered from 0.
        build: makes a fact of a record and an id, or raises `FieldError`.
        on_bad: `refuse` stops at the first bad record, `report` leaves it out and lists it.

    Raises:
        FactError: a bad record under `refuse`; no usable record at all; an unknown policy.
    """
    if on_bad not in get_args(OnBad):
        raise FactError(f"on_bad={on_bad!r} is unknown; give one of {listing(get_args(OnBad))}")
    kept: list[EditRequest] = []
    rejected: list[Rejection] = []
    first: dict[tuple[str, ...], int] = {}
    for number, record in enumerate(records):
        try:
            request = _build_one(record, f"{name}-{number}", build)
            _refuse_repeat(request, first, number)
        except FieldError as error:
            reason = f"field `{error.field}` {error.reason}"
            if on_bad == "refuse":
                raise FactError(f"{source}, record {number}: {reason}; {error.mend}") from error
            rejected.append(Rejection(number, reason))
        else:
            kept.append(request)
    if not kept:
        seen = f"; record {rejected[0].record}: {rejected[0].reason}" if rejected else ""
        raise FactError(f"{source}: no usable fact among {len(rejected)} records{seen}; mend them")
    return FactSet.of(name, kept, source=source, rejected=rejected)


def _build_one(record: object, identity: str, build: Build) -> EditRequest:
    if not isinstance(record, Mapping):
        reason = f"is {type(record).__name__}, not an object with named fields"
        raise FieldError(identity, "(record)", reason, "write each fact as a JSON object")
    return build(record, identity)


def _refuse_repeat(request: EditRequest, first: dict[tuple[str, ...], int], number: int) -> None:
    text = (request.prompt, request.subject)
    if text in first:
        reason = f"and subject repeat record {first[text]}: the edit would overwrite that one"
        raise FieldError(request.id, "prompt", reason, "take one of the two out")
    if (request.id,) in first:
        reason = f"({request.id!r}) repeats that of record {first[(request.id,)]}"
        raise FieldError(request.id, "id", reason, "give each fact an id of its own, or none")
    first[text] = first[(request.id,)] = number
