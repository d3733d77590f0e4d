"""Does the edited model answer unrelated questions as before?"""

from __future__ import annotations

import pytest


@pytest.mark.edit_measures("locality")
def test_locality(observed, baseline):
    """Agreement with the unedited model on the facts' locality prompts."""
    assert observed("locality") == baseline
