"""Parity with EasyEdit's GRACE, where a checkout is at hand (its registry package has none).

Single edits and pairs: from the third edit on its labels no longer stand with their keys. The
numbers on the default model are in docs/methods/grace.md.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.compare_grace import HOME, Reference, compared, ours, reference, theirs
from editsuite.cards import tiny_model
from editsuite.engine import DecoderStack
from editsuite.errors import EditError
from editsuite.facts import EditRequest

pytestmark = pytest.mark.usefixtures("one_thread")

LAYER = 2
ADA = EditRequest("The mother tongue of Ada Vole is", "Ada Vole", "Thai")
#: Its prompt is as long and its target the same: the one pair in which EasyEdit sees equal labels.
IDA = EditRequest("The mother tongue of Ida Vole is", "Ida Vole", "Thai")
BO = EditRequest("The mother tongue of Bo Tern was", "Bo Tern", "Urdu")


@pytest.fixture(scope="module")
def easyedit() -> Reference:
    try:
        return reference()
    except EditError as error:
        pytest.skip(f"{error} ({HOME})")


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize(
    ("requests", "eps"),
    [([ADA], 1.0), ([BO], 0.01), ([ADA, BO], 1e-3), ([ADA, BO], 50.0), ([ADA, IDA], 50.0)],
)
def test_keys_radii_labels_and_values_are_easyedits(
    architecture: str, requests: list[EditRequest], eps: float, easyedit: Reference
) -> None:
    stack = DecoderStack(tiny_model(architecture, 7))
    settings: dict[str, Any] = {
        "layer": LAYER,
        "eps": eps,
        "n_iter": 10,
        "edit_lr": 0.1,
        "val_init": "warm",
    }
    found = compared(ours(stack, requests, settings), theirs(easyedit, stack, requests, settings))
    assert found["same entries"]
    assert found["same labels"]
    assert found["keys"] < 1e-5
    # It takes 1e-5 off one of two split radii, and works in float32.
    assert found["radii"] < 3e-5
    assert found["values"] < 1e-3
