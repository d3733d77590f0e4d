"""Claims of the paper, held against what is observed on a model.

A finding that does not hold on a model is an observation, not a fault: the suite says so, and a
baseline keeps what was found, so that a change of it is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from editsuite.errors import BaselineError
from editsuite.measures.observation import Observation, exact
from editsuite.verdicts.families import corrected
from editsuite.verdicts.judging import verdict
from editsuite.verdicts.paper import read_table
from editsuite.verdicts.verdict import MARGIN, Kept, decided

#: The benchmark's column of Table 1 for each capability.
TABLE_1: Mapping[str, str] = {
    "knowledge": "mmlu",
    "mathematics": "math",
    "reasoning": "bbh",
    "entailment": "axb",
    "commonsense": "commonsense_qa",
    "reading": "c3",
    "multilingual": "tydiqa",
    "code": "mbpp",
}


@dataclass(frozen=True)
class Claim:
    """What the paper says of a capability in a state.

    Attributes:
        capability: its name.
        retention: the paper's score in the state over its score of the unedited model.
        kept: whether that is within the margin.
    """

    capability: str
    retention: float
    kept: Kept


def status(low: float, high: float, margin: float = MARGIN) -> Kept:
    """What an interval of a retention says: non-inferiority with a margin.

    Args:
        low: lower end.
        high: upper end.
        margin: what may be missing.
    """
    return decided(low, high, 1 - margin)


def table_1(file: Path, method: str, edits: int, margin: float = MARGIN) -> tuple[Claim, ...]:
    """The claims of the paper's Table 1 for a method after a number of edits; none: it has none.

    Raises:
        BaselineError: the file cannot be read as the table.
    """
    table = read_table(1, file)
    if not table.find(method=method, edits=edits):
        return ()
    shares = {}
    for name, column in TABLE_1.items():
        base = table.cell(column, method="base", edits=0).value
        if not base:
            raise BaselineError(
                f"{file}: {column} of the unedited model is 0, and nothing of it can be lost; "
                "take the file from the repository again"
            )
        shares[name] = table.cell(column, method=method, edits=edits).value / base
    # The table gives no intervals: its numbers are taken for exact.
    return tuple(Claim(name, r, status(r, r, margin)) for name, r in shares.items())


def judge(
    claims: Sequence[Claim], observations: Sequence[Observation], margin: float = MARGIN
) -> tuple[Observation, ...]:
    """Hold claims against retentions: 1 holds, 0 does not, 0.5 cannot be told.

    A capability whose retention was not observed is left out. Retentions with their items are
    tested, and Holm's correction taken over the claims (`docs/verdicts.md`); of others the
    interval decides.
    """
    names = [f"capability.{claim.capability}.retention" for claim in claims]
    seen = {o.name: verdict(o, margin) for o in observations if o.name in names}
    # A state's claims are read together, so they are one family.
    held = {v.name: v for v in corrected("table-1", list(seen.values()))}
    found = []
    for claim, name in zip(claims, names, strict=True):
        if name in held:
            said = held[name].outcome
            holds = 0.5 if said == "undecided" else float(said == claim.kept)
            found.append(exact(f"table-1.{claim.capability}", holds, held[name].n, "holds"))
    return tuple(found)
