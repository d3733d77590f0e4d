"""Weak spots of a chain: what each edit did, beside what is known of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy import stats

from editsuite.errors import OptionError
from editsuite.facts import EditRequest
from editsuite.measures.jumps import LEAST_STEPS, Rule
from editsuite.measures.moments import Moments, together
from editsuite.measures.trajectory import trajectory
from editsuite.measures.weakspots import Damage
from editsuite.runs.case import Case
from editsuite.runs.enough import check_enough
from editsuite.runs.run import Run

#: What a method may say of an edit, under its own names.
_TOLD = ("key_norm", "bare_key_norm", "value_norm", "delta_norm", "nll_before", "nll_after")


@dataclass(frozen=True)
class EditStep:
    """One edit: which fact, what it did, what the method said of it.

    What a method does not record is None (GRACE changes no weight, only ROME has a denominator).

    Attributes:
        index: place in the chain, from 1.
        facts: ids of its facts, joined by commas where it has several.
        subjects: their subjects, joined likewise.
        step: rise of the mean negative log-likelihood of plain prose, nats a token.
        low: lower end of its 95 % interval over passages.
        level: rise since the unedited model.
        z: how far the step stands out from the chain's others (``measures.jumps.robust_z``).
        jump: whether it is a jump.
        update_norm: Frobenius norm of the change.
        relative_norm: the same over the norm of the weights before the edit.
        denominator: ROME's ``k^T C^-1 k / |C^-1 k|``: small where the key lies across the update.
        key_norm: norm of the key, averaged over prefixes.
        bare_key_norm: of the bare prompt's key.
        value_norm: norm of the value that is written.
        delta_norm: norm of what the search added to the old value.
        nll_before: negative log-likelihood of the target before the edit.
        nll_after: after the search of the value.
        correlation: of the edited matrices, all together, with the originals, after the edit.
        drift: their relative drift.
    """

    index: int
    facts: str
    subjects: str
    step: float
    low: float
    level: float
    z: float
    jump: bool
    update_norm: float | None
    relative_norm: float | None
    denominator: float | None
    key_norm: float | None
    bare_key_norm: float | None
    value_norm: float | None
    delta_norm: float | None
    nll_before: float | None
    nll_after: float | None
    correlation: float | None
    drift: float | None


@dataclass(frozen=True)
class Association:
    """How a property of the edits goes with the damage they did.

    Attributes:
        name: the property, a field of ``EditStep``.
        rho: Spearman's rank correlation with ``step``.
        p: its two-sided p-value; properties are not corrected for one another.
        n: edits that have both.
    """

    name: str
    rho: float
    p: float
    n: int


def edit_steps(run: Run, case: Case, edits: int, rule: Rule | None = None) -> tuple[EditStep, ...]:
    """Edit, look at every state, and put beside each edit what is known of it.

    Args:
        run: an open run; edits and looks that are kept are not made again.
        case: the chain.
        edits: facts to edit.
        rule: what a jump is; the usual where None.

    Raises:
        OptionError: more edits than facts, or no whole number of batches.
    """
    if edits % case.batch:
        raise OptionError(
            f"{edits} edits are no whole number of batches of {case.batch}; give a multiple of it"
        )
    check_enough(edits, len(run.order), run.settings.facts)
    measure = run.measures["weakspots"]
    run.observe(case, edits, [measure.name])
    states = [run.take(case, measure, look) for look in measure.looks(edits, case.batch)]
    damage = Damage.of([state["nll"] for state in states], states[0]["tokens"])
    found, curve = {*damage.jumps(rule)}, moments_by_edit(run, case, edits)
    return tuple(
        _step(at, damage, at in found, record, _requests(run, case, at), moved)
        for at, (record, moved) in enumerate(zip(run.records(case, edits), curve, strict=True))
    )


def moments_by_edit(run: Run, case: Case, edits: int) -> Sequence[Moments | None]:
    """Movement of the edited matrices after each edit, from the factors alone.

    None for each where a change has no factors, or where they are more than the weights.
    """
    chain, index = run.chain(case), edits // case.batch
    run.free(chain)
    chain.go(index)
    curves = []
    for weight in chain.weights().values():
        if weight.factors is None:
            return [None] * index
        # What changes no weight has no factors at all: it stands still at every edit.
        none = weight.original.new_zeros(weight.original.shape[0], 0)
        still = [(none, weight.original.new_zeros(weight.original.shape[1], 0))] * index
        curves.append(trajectory(weight.original, weight.factors or still))
    return [together(parts) for parts in zip(*curves, strict=True)]


def associations(steps: Sequence[EditStep]) -> tuple[Association, ...]:
    """Which properties go with damage, the closest first; those that hardly vary are left out."""
    found = []
    for name in ("update_norm", "relative_norm", "denominator", *_TOLD):
        pairs = [(float(getattr(s, name)), s.step) for s in steps if getattr(s, name) is not None]
        pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
        if len(pairs) < LEAST_STEPS or any(np.ptp(side) == 0 for side in zip(*pairs, strict=True)):
            continue
        rho, p = stats.spearmanr(*zip(*pairs, strict=True))
        found.append(Association(name, float(rho), float(p), len(pairs)))
    return tuple(sorted(found, key=lambda a: -abs(a.rho)))


def columns() -> tuple[str, ...]:
    """Names of the fields of an ``EditStep``, in their order."""
    return tuple(field.name for field in fields(EditStep))


def _requests(run: Run, case: Case, at: int) -> Sequence[EditRequest]:
    return run.order[at * case.batch : (at + 1) * case.batch]


def _step(
    at: int,
    damage: Damage,
    jump: bool,
    record: Mapping[str, Any],
    requests: Sequence[EditRequest],
    moved: Moments | None,
) -> EditStep:
    norm, before = record.get("update_norm"), record.get("weight_norm_before")
    return EditStep(
        index=at + 1,
        facts=", ".join(r.id for r in requests),
        subjects=", ".join(r.subject for r in requests),
        step=float(damage.steps[at]),
        low=float(damage.lows[at]),
        level=float(damage.levels[at]),
        z=float(damage.z[at]),
        jump=jump,
        update_norm=norm,
        relative_norm=norm / before if norm is not None and before else None,
        denominator=record.get("denominator"),
        **{name: record.get(name) for name in _TOLD},
        correlation=moved.correlation if moved else None,
        drift=moved.drift if moved else None,
    )
