"""The methods by name."""

from __future__ import annotations

from collections.abc import Mapping

from editsuite.editors.alphaedit import AlphaEdit
from editsuite.editors.easyedit.method import EasyEdit
from editsuite.editors.easyedit.recipe import PREFIX
from editsuite.editors.easyedit.recipes import recipe_of
from editsuite.editors.ft_l import FtL
from editsuite.editors.grace import GRACE
from editsuite.editors.memit import Memit
from editsuite.editors.mend import Mend
from editsuite.editors.protocol import Method
from editsuite.editors.rome import VARIANTS
from editsuite.errors import OptionError, listing


def methods() -> Mapping[str, Method]:
    """All methods the suite knows, by marker name."""
    known: tuple[Method, ...] = (*VARIANTS, Memit(), Mend(), GRACE, AlphaEdit(), FtL())
    return {method.name: method for method in known}


def method(name: str) -> Method:
    """One method; ``easyedit-NAME`` is EasyEdit's own.

    Raises:
        OptionError: there is none of that name.
    """
    if name.startswith(PREFIX):
        return EasyEdit(recipe_of(name.removeprefix(PREFIX)))
    known = methods()
    if name not in known:
        raise OptionError(f"there is no editing method {name!r}; known are {listing(known)}")
    return known[name]
