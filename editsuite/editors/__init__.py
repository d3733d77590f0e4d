"""Editing methods, one file each, behind the Method protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from editsuite.editors.names import METHOD_HELP
from editsuite.late import late

if TYPE_CHECKING:
    from editsuite.editors.protocol import BoundEditor, LowRank, Method, Recorded, Update
    from editsuite.editors.registry import method, methods

__all__ = [
    "METHOD_HELP",
    "BoundEditor",
    "LowRank",
    "Method",
    "Recorded",
    "Update",
    "method",
    "methods",
]

_PROTOCOL = ("BoundEditor", "LowRank", "Method", "Recorded", "Update")
__getattr__ = late(
    __name__,
    {
        **dict.fromkeys(_PROTOCOL, "editsuite.editors.protocol"),
        **dict.fromkeys(("method", "methods"), "editsuite.editors.registry"),
    },
)
