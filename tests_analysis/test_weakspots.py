"""Which single edit did the damage? (the disabling edits of later work)"""

from __future__ import annotations

import pytest


@pytest.mark.edit_measures("weakspots")
def test_weakspots(observed, baseline):
    """Factor of the worst single edit on perplexity, and the number of edits that stand out."""
    assert observed("weakspots") == baseline
