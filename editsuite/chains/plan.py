"""The plan: everything that determines a chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from editsuite.errors import ChainError
from editsuite.facts import EditRequest

#: Raised when the way a plan turns into a chain changes.
SCHEMA = 1


@dataclass(frozen=True)
class Plan:
    """What is edited, with what, where and in which order.

    How many edits are wanted is no part of it: a chain to 100 edits passes 1, 10 and 20 on its
    way, so all of them are one chain, as far as it goes.

    Attributes:
        card: name of the model's card.
        model: digest of the model.
        dtype: dtype of the model's weights (``float32``).
        editor: name of the method.
        version: version of the method.
        layers: edited layers.
        batch_size: requests of one edit.
        seed: seed of fact order and context prefixes.
        facts: name of the fact set.
        requests: all facts, in the order of editing.
        inputs: what else the method's updates depend on (``BoundEditor.inputs``).
    """

    card: str
    model: str
    dtype: str
    editor: str
    version: int
    layers: tuple[int, ...]
    batch_size: int
    seed: int
    facts: str
    requests: tuple[EditRequest, ...]
    inputs: Mapping[str, object]

    @cached_property
    def digest(self) -> str:
        """Identity of the chain: hex sha256 of everything but names for people."""
        text = json.dumps({**self.summary(), "card": None, "facts": None}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def summary(self) -> dict[str, object]:
        """The plan as JSON values, the facts as a digest."""
        return {
            "schema": SCHEMA,
            "card": self.card,
            "model": self.model,
            "dtype": self.dtype,
            "editor": self.editor,
            "version": self.version,
            "layers": list(self.layers),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "facts": self.facts,
            "requests": len(self.requests),
            "requests_digest": requests_digest(self.requests),
            "inputs": dict(self.inputs),
        }

    def batch(self, index: int) -> tuple[EditRequest, ...]:
        """The requests of edit ``index``, counted from 1."""
        return self.requests[(index - 1) * self.batch_size : index * self.batch_size]

    def index_of(self, edits: int) -> int:
        """The number of journal entries after which ``edits`` facts are in.

        Raises:
            ChainError: more facts than there are, or not a whole number of batches.
        """
        if not 0 <= edits <= len(self.requests):
            raise ChainError(
                f"{edits} edits were asked for, the facts {self.facts} hold {len(self.requests)}; "
                "ask for fewer (--edit-counts) or give more facts (--edit-facts)"
            )
        if edits % self.batch_size:
            raise ChainError(
                f"{edits} edits are no whole number of batches of {self.batch_size}; choose counts "
                "that the batch size divides"
            )
        return edits // self.batch_size


def requests_digest(requests: Sequence[EditRequest]) -> str:
    """Hex sha256 over the requests in their order."""
    return hashlib.sha256("".join(r.digest for r in requests).encode()).hexdigest()
