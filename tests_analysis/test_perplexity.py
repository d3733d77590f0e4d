"""Does the edited model still model language? (paper section E.1.2, Table 12)"""

from __future__ import annotations

import pytest


@pytest.mark.edit_measures("perplexity")
def test_perplexity(observed, baseline):
    """Perplexity of plain text, and its ratio to the unedited model's."""
    assert observed("perplexity") == baseline
