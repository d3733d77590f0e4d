"""Verdicts of the rows that compare a state with the unedited model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from editsuite.measures import Observation
    from editsuite.verdicts.verdict import Verdict


def evidence_of(observation: Observation) -> dict[str, Any] | None:
    """The verdict on an observation with its items, as JSON values; None where it has none.

    The items stay behind: rows go from worker to controller, and a benchmark has thousands.
    """
    from editsuite.verdicts.judging import compares, verdict

    if observation.pairs is None or not compares(observation):
        return None
    return asdict(verdict(observation))


def judged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their verdicts, corrected for the others of the same state.

    What one run says of one state by one kind of number (all retentions, all changes in nats) is
    a family; Holm's correction, because a single wrong "lost" is what a gate must not say.

    Args:
        rows: of all workers; what `evidence_of` gave stands under ``judged``.
    """
    families: dict[tuple[str, ...], list[int]] = {}
    for place, row in enumerate(rows):
        if row.get("judged"):
            kind = row["name"].rpartition(".")[2]
            state = (row["method"], str(row["layer"]), str(row["edits"]), kind)
            families.setdefault(state, []).append(place)
    found = [{**row} for row in rows]
    for (_, _, edits, kind), places in families.items():
        for place, told in zip(
            places, _told(f"{kind}, edits: {edits}", [rows[p] for p in places]), strict=True
        ):
            found[place]["judged"] = told
    return found


def _told(family: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the report says of each verdict of a family."""
    from editsuite.verdicts.families import corrected

    return [
        {
            "outcome": v.outcome,
            "margin": v.margin,
            "bound": v.bound,
            "p": v.p,
            "adjusted_p": v.adjusted_p,
            "test": v.evidence.test if v.evidence else "",
            "correction": v.correction.method if v.correction else "",
            "family": family,
            "members": v.correction.members if v.correction else 1,
            "words": v.words(),
        }
        for v in corrected(family, [_verdict(row["judged"]) for row in rows])
    ]


def _verdict(held: dict[str, Any]) -> Verdict:
    """The verdict that `evidence_of` wrote."""
    from editsuite.verdicts.verdict import Evidence, Verdict

    return Verdict(**{**held, "evidence": Evidence(**held["evidence"])})
