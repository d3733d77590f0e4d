"""What a chain tells of itself while it works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class JournalWarning(UserWarning):
    """A damaged or foreign journal file was found; the message names it."""


@dataclass(frozen=True)
class Progress:
    """Where a chain stands, for whoever shows it.

    Attributes:
        index: edits done.
        target: edits wanted.
        record: what the method said of the last one.
    """

    index: int
    target: int
    record: Mapping[str, object]
