"""Do the paper's claims about capabilities hold here? (Table 1)"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.capability


@pytest.mark.edit_measures(
    "capability.knowledge",
    "capability.mathematics",
    "capability.reasoning",
    "capability.entailment",
    "capability.commonsense",
    "capability.reading",
    "capability.multilingual",
    "capability.code",
)
def test_table_1(findings, baseline):
    """Which capabilities are retained, and which lost, after this many edits."""
    assert findings() == baseline
