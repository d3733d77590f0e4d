"""Editing methods, one file each, behind the Method protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from editsuite.editors.names import METHOD_HELP
from editsuite.late import late

if TYPE_CHECKING:
    from editsuite.editors.protocol import (
        BoundEditor,
        Change,
        ChecksEarly,
        Dense,
        LowRank,
        Method,
        Recorded,
        State,
        Update,
        Weight,
    )
    from editsuite.editors.registry import method, methods

__all__ = [
    "METHOD_HELP",
    "BoundEditor",
    "Change",
    "ChecksEarly",
    "Dense",
    "LowRank",
    "Method",
    "Recorded",
    "State",
    "Update",
    "Weight",
    "method",
    "methods",
]

_PROTOCOL = tuple(name for name in __all__ if name[0].isupper() and name != "METHOD_HELP")
__getattr__ = late(
    __name__,
    {
        **dict.fromkeys(_PROTOCOL, "editsuite.editors.protocol"),
        **dict.fromkeys(("method", "methods"), "editsuite.editors.registry"),
    },
)
