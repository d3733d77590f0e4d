"""How far have the edited matrices moved? (paper section 7.1, Figure 6, Table 8)"""

from __future__ import annotations

import pytest


@pytest.mark.edit_measures("parameters")
def test_parameters(observed, baseline):
    """Correlation, relative drift and norm ratio of the edited weight.

    Every number is held to its own tolerance: no threshold of correlation is a gate, because a
    higher one can go with more damage (docs/measures.md).
    """
    assert observed("parameters") == baseline
