"""Plain text whose predictions an edit must leave alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from editsuite.errors import FactError
from editsuite.facts.targets import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Passages:
    """Stretches of plain text, as tokens.

    Attributes:
        ids: the passages' tokens.
        description: where they came from, for the file.
    """

    ids: tuple[tuple[int, ...], ...]
    description: dict[str, object]

    def of(self, fact: str) -> tuple[int, ...]:
        """The passage that goes with a fact, always the same one.

        Args:
            fact: digest of the fact.
        """
        return self.ids[int(digest_of(f"passage:{fact}"), 16) % len(self.ids)]


@dataclass(frozen=True)
class PlainText:
    """A text file's name and what it holds."""

    name: str
    text: str


def read_text(path: Path) -> PlainText:
    """Read a UTF-8 text file, a paragraph a line.

    Raises:
        FactError: it cannot be read.
    """
    try:
        return PlainText(path.name, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FactError(
            f"{path}: cannot be read as UTF-8 text ({error}); give plain text, a paragraph a line"
        ) from error


def passages_of(text: PlainText, tokenizer: PreTrainedTokenizerBase, length: int) -> Passages:
    """Cut a text into passages: stretches of a line, of ``length`` tokens.

    What is left at a line's end, and a line that is shorter, is left out.

    Raises:
        FactError: no line is long enough.
    """
    stripped = (line.strip() for line in text.text.splitlines())
    lines = [token_ids(tokenizer, line) for line in stripped if line]
    ids = tuple(
        tuple(line[at : at + length])
        for line in lines
        for at in range(0, len(line) - length + 1, length)
    )
    if not ids:
        raise FactError(
            f"{text.name}: no line has {length} tokens; give running text, a paragraph a line"
        )
    description: dict[str, object] = {
        "name": text.name,
        "sha256": digest_of(text.text),
        "passages": len(ids),
        "tokens": length,
    }
    return Passages(ids, description)


def digest_of(text: str) -> str:
    """Hex sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
