"""What a check observed, noted for the report and made ready for the comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from editsuite.plugin.baseline_file import update_plan
from editsuite.plugin.cases import EditCase, group_of, measures_of
from editsuite.plugin.collected import PROPERTY

if TYPE_CHECKING:
    from editsuite.measures import Observation
    from editsuite.plugin.session import EditSession


def noted(
    session: EditSession, item: pytest.Item, case: EditCase, found: Sequence[Observation]
) -> dict[str, Any]:
    """Carry observations to the report; what is held against the baseline."""
    carried = session.carry(item, case, found)
    updating = item.config.option.update_snapshots
    if updating:
        file, plan = session.baselines.file(case, measures_of(item)), session.plan_digest(case)
        update_plan(file, group_of(item.nodeid), plan)
    item.user_properties.append((PROPERTY, carried))
    spoilt = ", ".join(o.name for o in found if math.isnan(o.value) and not o.absent)
    if spoilt and updating:
        pytest.fail(f"{spoilt}: NaN is no baseline; nothing is written", pytrace=False)
    return session.snapshot(case, found)
