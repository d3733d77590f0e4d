"""Does the edited model say what it was taught? (paper section 4, Table 2)"""

from __future__ import annotations

import pytest


@pytest.mark.edit_measures("recall.sequential", "recall.individual")
def test_reliability(observed, baseline):
    """The edited prompts: all so far, and each right after its own edit."""
    assert observed("reliability") == baseline


@pytest.mark.edit_measures("recall.sequential", "recall.individual")
def test_generalization(observed, baseline):
    """The same facts in other words."""
    assert observed("generalization") == baseline
