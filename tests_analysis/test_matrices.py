"""In which way have the edited matrices moved, layer by layer? (beside section 7.1, Figure 6)"""

from __future__ import annotations

import pytest


@pytest.mark.edit_measures("matrices")
def test_matrices(observed, baseline):
    """Spectral norm of the change, condition number, weight norm; layer by layer where several."""
    assert observed("parameters") == baseline
