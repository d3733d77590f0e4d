"""An ordered set of facts, and what was left out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from editsuite.errors import FactError, listing
from editsuite.facts.request import EditRequest

_PAPER_SEEDS = "abcd"
_SEED_LIMIT = 2**63


@dataclass(frozen=True)
class Rejection:
    """A record that was left out.

    Attributes:
        record: its number in the file, counted from 0.
        reason: which field is wrong, and how.
    """

    record: int
    reason: str


@dataclass(frozen=True)
class FactSet:
    """Facts that can be taught one after another.

    Attributes:
        name: what the set is called in plans and reports.
        requests: the facts, in the order of their source.
        rejected: the records left out, in the order of their source.
        source: where the facts came from, for people.
        digest: SHA-256, in hex, of the facts' digests in order, the tail's after a mark;
            independent of name and source.
        tail: further facts that a long chain continues with after all of `requests`.

    Raises:
        FactError: two facts share an id, or a prompt and subject (the second edit would
            overwrite the first, and recall of the first could not be asked for).
    """

    name: str
    requests: tuple[EditRequest, ...]
    rejected: tuple[Rejection, ...]
    source: str
    digest: str
    tail: tuple[EditRequest, ...] = ()

    def __post_init__(self) -> None:
        every = (*self.requests, *self.tail)
        seen: dict[tuple[str, ...], str] = {}
        for request in every:
            for key in ((request.id,), (request.prompt, request.subject)):
                if key in seen:
                    raise FactError(
                        f"fact set {self.name} ({self.source}): facts {seen[key]} and "
                        f"{request.id} share {' / '.join(key)!r}; take one of them out"
                    )
                seen[key] = request.id

    @classmethod
    def of(
        cls,
        name: str,
        requests: Iterable[EditRequest],
        *,
        source: str,
        rejected: Iterable[Rejection] = (),
        tail: Iterable[EditRequest] = (),
    ) -> FactSet:
        """Build a set and compute its digest."""
        facts, more = tuple(requests), tuple(tail)
        lines = [*(fact.digest for fact in facts), "tail", *(fact.digest for fact in more)]
        digest = hashlib.sha256("\n".join(lines).encode("ascii")).hexdigest()
        return cls(name, facts, tuple(rejected), source, digest, more)

    def __len__(self) -> int:
        return len(self.requests)

    def order(self, seed: int) -> tuple[EditRequest, ...]:
        """Shuffle the facts; the first n are the first n whatever n is asked for.

        The place of a fact depends only on the seed and on what the fact says, by SHA-256, so
        the order is the same on any platform, in any process, and for any order of the source.
        All of `requests` come before any of `tail`; each part is shuffled by itself.
        """
        return (*_shuffled(self.requests, seed), *_shuffled(self.tail, seed))


def _shuffled(requests: tuple[EditRequest, ...], seed: int) -> list[EditRequest]:
    def place(request: EditRequest) -> str:
        return hashlib.sha256(f"{seed}:{request.digest}".encode("ascii")).hexdigest()

    return sorted(requests, key=place)


def parse_seed(text: str) -> int:
    """Read a seed: one of the paper's `a b c d` (0 to 3), or a whole number from 0.

    Raises:
        FactError: the text is neither.
    """
    word = text.strip()
    if len(word) == 1 and word.lower() in _PAPER_SEEDS:
        return _PAPER_SEEDS.index(word.lower())
    if word.isascii() and word.isdigit() and len(word) < 20 and int(word) < _SEED_LIMIT:
        return int(word)
    raise FactError(
        f"seed {text!r} is unknown; give one of {listing(_PAPER_SEEDS)} "
        "(the paper's four seeds) or a whole number from 0 to 2**63 - 1"
    )
