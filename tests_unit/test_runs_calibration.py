"""What is done otherwise to measure noise."""

from __future__ import annotations

from editsuite.runs.calibration import Variation, variations


def test_variations_change_one_thing_each() -> None:
    found = variations(2, threads=(1, 2, 4), budgets=(512,), seeds=(1, 2))
    assert found[0] == Variation("base", 2)
    assert [v.kind for v in found[1:]] == [
        *["threads"] * 2,
        "batch",
        "rounding",
        *["contexts"] * 2,
    ]
    assert [v.threads for v in found] == [2, 1, 4, 2, 2, 2, 2]
    chains = {v.folder for v in found}
    # Another batch size changes no chain; everything else does.
    assert len(chains) == len(found) - 1
