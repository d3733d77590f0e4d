"""What a worker does while it would have to wait: the rest of the agenda."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from filelock import Timeout

from editsuite.runs.case import Case, Wanted

if TYPE_CHECKING:
    from editsuite.runs.run import Run


def work_ahead(run: Run, besides: Case | None = None) -> bool:
    """Do one thing of the agenda that is ready and that nobody else does.

    Args:
        run: this process's run.
        besides: the case whose chain is being edited elsewhere.

    Returns:
        Whether anything was done.
    """
    return any(_look(run, wanted) for wanted in run.agenda) or _edit(run, besides)


def _look(run: Run, wanted: Wanted) -> bool:
    """One look of a measure at a state that is already there."""
    chain = run.chain(wanted.case)
    measure = run.measures[wanted.measure]
    sound = chain.sound()
    for look in measure.looks(wanted.edits, wanted.case.batch):
        if chain.plan.index_of(look.state) > sound or run.known(wanted.case, measure, look):
            continue
        try:
            run.take(wanted.case, measure, look)
        except Timeout:
            continue
        return True
    return False


def _edit(run: Run, besides: Case | None) -> bool:
    """One edit of another chain, if no one else edits it."""
    for case, edits in _targets(run).items():
        chain = run.chain(case)
        index = chain.plan.index_of(edits)
        if case != besides and chain.sound() < index:
            run.free(chain)
            if chain.try_one(partial(run.tell, case), limit=index):
                return True
    return False


def _targets(run: Run) -> dict[Case, int]:
    """The agenda's chains and how far each is wanted."""
    targets: dict[Case, int] = {}
    for wanted in run.agenda:
        targets[wanted.case] = max(targets.get(wanted.case, 0), wanted.edits)
    return targets
