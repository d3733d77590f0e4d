"""What can the edited model still do? (paper sections 5 and 6, Tables 1 and 6)

Each check holds a capability's score, and what is left of the unedited model's, against the
baseline.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.capability


@pytest.mark.edit_measures("capability.knowledge")
def test_knowledge(observed, baseline):
    """Professional knowledge, as MMLU asks for it."""
    assert observed("capability.knowledge") == baseline


@pytest.mark.edit_measures("capability.mathematics")
def test_mathematics(observed, baseline):
    """Short sums and problems, as MATH poses them."""
    assert observed("capability.mathematics") == baseline


@pytest.mark.edit_measures("capability.reasoning")
def test_reasoning(observed, baseline):
    """Small steps of logic and comprehension, as BBH."""
    assert observed("capability.reasoning") == baseline


@pytest.mark.edit_measures("capability.entailment")
def test_entailment(observed, baseline):
    """Does one sentence follow from another? As SuperGLUE AX-b."""
    assert observed("capability.entailment") == baseline


@pytest.mark.edit_measures("capability.commonsense")
def test_commonsense(observed, baseline):
    """What everybody knows, as CommonsenseQA."""
    assert observed("capability.commonsense") == baseline


@pytest.mark.edit_measures("capability.reading")
def test_reading(observed, baseline):
    """Chinese passages and questions about them, as C3."""
    assert observed("capability.reading") == baseline


@pytest.mark.edit_measures("capability.multilingual")
def test_multilingual(observed, baseline):
    """Passages and questions in many languages, as TyDiQA."""
    assert observed("capability.multilingual") == baseline


@pytest.mark.edit_measures("capability.code")
def test_code(observed, baseline):
    """Small functions that must pass their asserts, as MBPP."""
    assert observed("capability.code") == baseline
