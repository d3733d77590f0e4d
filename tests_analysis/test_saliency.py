"""Does the edited model still learn from its prompt? (paper sections 7.3, E.2 and D.3)"""

from __future__ import annotations

import pytest


@pytest.mark.edit_measures("saliency")
def test_saliency(observed, baseline):
    """How information flows from text to label words to the answer, and the answers."""
    assert observed("saliency.") == baseline
