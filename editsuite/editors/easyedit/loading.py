"""Loading EasyEdit's modules: past its packages, in nobody else's sight, anew each time.

The ``__init__`` files of its packages import every method and every multimodal dependency, so
they are not run. Its modules keep contexts, covariances and more in globals, which are keyed by a
model's name or by nothing; a caller that loads anew has none of that. And its older release
writes its one device, CUDA, into strings.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from editsuite.editors.easyedit.tree import PACKAGE
from editsuite.errors import EditError

#: ``f"cuda:{hparams.device}"``, in either kind of quotes.
_FIXED_DEVICE = re.compile(rb"""f(["'])cuda:\{((?:\w+\.)*device)\}\1""")


class _AnyDevice(SourceFileLoader):
    """Reads ``hparams.device`` as the device it is.

    Done in the source, since intercepting torch calls instead would slow what is timed; and past
    the bytecode cache, which would hand the altered module to every other user.
    """

    def get_code(self, fullname: str) -> CodeType:
        source = _FIXED_DEVICE.sub(rb"\2", self.get_data(self.path))
        return self.source_to_code(source, self.path)


class _Finder(MetaPathFinder):
    """Finds EasyEdit's modules below one root; its packages are empty."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        first, *rest = fullname.split(".")
        if first != PACKAGE:
            return None
        place = self._root.joinpath(*rest)
        file = place.with_name(f"{place.name}.py")
        if rest and file.is_file():
            loader = _AnyDevice(fullname, str(file))
            return spec_from_file_location(fullname, str(file), loader=loader)
        if place.is_dir():
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        return None


@dataclass(frozen=True)
class Modules:
    """Modules of one EasyEdit, loaded for one use.

    Attributes:
        root: the folder of its package.
    """

    root: Path
    _held: dict[str, ModuleType] = field(default_factory=dict)

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Within, imports of EasyEdit find these modules; after, whatever was there before."""
        aside, finder = _taken_out(), _Finder(self.root)
        sys.modules.update(self._held)
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            self._held.update(_taken_out())
            sys.modules.update(aside)

    def module(self, name: str) -> ModuleType:
        """A module by its name within the package, ``models.rome.rome_main``.

        Raises:
            EditError: it cannot be loaded; the message says what it lacks.
        """
        try:
            with self.at_hand():
                return import_module(f"{PACKAGE}.{name}")
        except ModuleNotFoundError as error:
            raise EditError(
                f"EasyEdit's {name} in {self.root} needs {error.name}: install it (pip install "
                f"{error.name})"
            ) from error
        except Exception as error:
            raise EditError(
                f"EasyEdit's {name} in {self.root} cannot be loaded "
                f"({type(error).__name__}: {error}); try another version (EASYEDIT_HOME)"
            ) from error

    @property
    def held(self) -> Mapping[str, ModuleType]:
        """All modules loaded so far, by full name."""
        return self._held

    @property
    def digest(self) -> str:
        """Hex sha256 over the sources of all modules loaded so far."""
        digest = hashlib.sha256()
        for name, module in sorted(self._held.items()):
            if module.__file__ is not None:
                digest.update(name.encode())
                digest.update(Path(module.__file__).read_bytes())
        return digest.hexdigest()


def _taken_out() -> dict[str, ModuleType]:
    """EasyEdit's modules, taken out of ``sys.modules``."""
    names = [name for name in sys.modules if name.partition(".")[0] == PACKAGE]
    return {name: sys.modules.pop(name) for name in names}
