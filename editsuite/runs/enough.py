"""Are there enough facts? Imports no torch: it is seen before any model is loaded."""

from __future__ import annotations

from editsuite.errors import OptionError


def check_enough(edits: int, facts: int, source: str) -> None:
    """See that the facts suffice.

    Args:
        edits: how many are wanted.
        facts: how many are usable.
        source: what they were read from, as `--edit-facts` names it.

    Raises:
        OptionError: more edits than facts.
    """
    if edits > facts:
        raise OptionError(
            f"{edits} edits are wanted, {source} holds {facts} usable facts; lower --edit-counts "
            "or --edit-tier, or give more facts with --edit-facts"
        )
