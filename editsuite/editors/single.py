"""Methods that take one layer, or one fact, at a time; and how a record names its facts."""

from __future__ import annotations

from collections.abc import Sequence

from editsuite.errors import EditError, OptionError
from editsuite.facts import EditRequest

#: Facts of a batch that a record names.
NAMED = 3


def one_layer(layers: Sequence[int], *, method: str) -> int:
    """The only layer.

    Raises:
        OptionError: there are several, or none.
    """
    if len(layers) != 1:
        raise OptionError(
            f"{method} edits one layer, {len(layers)} were given; name the layers apart "
            "(--edit-layers 5,20) for one chain each"
        )
    return layers[0]


def one_request(requests: Sequence[EditRequest], *, method: str) -> EditRequest:
    """The only request.

    Raises:
        EditError: there are several, or none.
    """
    if len(requests) != 1:
        raise EditError(
            f"{method} edits one fact at a time, {len(requests)} were given; use batch size 1"
        )
    return requests[0]


def names_of(requests: Sequence[EditRequest]) -> str:
    """The ids of an edit's facts; of a large batch the first ones and how many more there are."""
    names = ", ".join(request.id for request in requests[:NAMED])
    more = len(requests) - NAMED
    return f"{names} and {more} more" if more > 0 else names
