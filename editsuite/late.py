"""Names of a package that are imported when they are first used.

The pytest plugin must choose GPUs before torch starts, and ``editsuite --help`` should come at
once; so packages whose modules import torch name them here instead of importing them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def late(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's ``__getattr__`` (PEP 562) that finds each name in its module.

    Args:
        package: the package's ``__name__``.
        modules: by name, the full name of the module that defines it.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name in modules:
            return getattr(import_module(modules[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
