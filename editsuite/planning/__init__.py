"""What runs take before any is started: chains, states, tokens, disk, memory, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from editsuite.late import late

if TYPE_CHECKING:
    from editsuite.planning.machine import Machine, known_machines, read_machine
    from editsuite.planning.plan import plan_runs
    from editsuite.planning.records import RunPlan
    from editsuite.planning.shape import Shape, shape_of

__all__ = [
    "Machine",
    "RunPlan",
    "Shape",
    "known_machines",
    "plan_runs",
    "read_machine",
    "shape_of",
]

__getattr__ = late(
    __name__,
    {
        "Machine": "editsuite.planning.machine",
        "RunPlan": "editsuite.planning.records",
        "Shape": "editsuite.planning.shape",
        "known_machines": "editsuite.planning.machine",
        "plan_runs": "editsuite.planning.plan",
        "read_machine": "editsuite.planning.machine",
        "shape_of": "editsuite.planning.shape",
    },
)
