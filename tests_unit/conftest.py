"""What several unit tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

# A deadline measures the machine, not the code: beside other work any example may be slow.
settings.register_profile("editsuite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("editsuite")

if TYPE_CHECKING:
    from editsuite.engine import DecoderStack


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One torch thread: sums fall in one order, and the other tests keep their core."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def real_stack() -> DecoderStack:
    """The embedded default model from the usual cache, unedited."""
    from editsuite.cards import load_model, resolve_card
    from editsuite.cards.embedded import find_gguf
    from editsuite.engine import DecoderStack

    card = resolve_card("smollm2-135m-instruct")
    if card.embedded is None or find_gguf(card.embedded) is None:
        pytest.skip("the embedded default model is absent: run make setup")
    return DecoderStack(load_model(card, device="cpu"))
