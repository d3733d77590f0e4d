"""Does the edited model still write language? (paper section 7.2, Table 4, appendix E.1.1)"""

from __future__ import annotations

import pytest


@pytest.mark.edit_measures("answers")
def test_answers(observed, baseline):
    """Adjusted perplexity of free answers under the judge, and how many were too short."""
    assert observed("") == baseline
