"""Where pytest found its settings."""

from __future__ import annotations

from itertools import pairwise

import pytest

from editsuite.errors import OptionError
from editsuite.plugin.known_options import OPTIONS

#: Files that pytest takes its settings from.
INI_FILES = ("pytest.toml", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")


def check_rootdir(config: pytest.Config) -> None:
    """See that pytest did not take an option's folder for a folder of tests.

    pytest looks for its settings before it knows any plugin's options. In ``--edit-cache DIR``
    it takes an existing DIR for a test path and looks there, so the project's settings are lost
    without a word.

    Raises:
        OptionError: it happened.
    """
    arguments = [str(a) for a in config.invocation_params.args]
    here, names = config.invocation_params.dir, {f"--edit-{o.name}" for o in OPTIONS}
    apart = [a for a, after in pairwise(arguments) if a in names and (here / after).exists()]
    if not apart or config.option.inifilename:
        return
    files = [folder / name for folder in (here, *here.parents) for name in INI_FILES]
    settings = next((file for file in files if file.is_file()), None)
    if settings is None:
        return
    found = config.inipath.parent if config.inipath is not None else None
    if found not in (settings.parent, *settings.parent.parents):
        raise OptionError(
            f"pytest took the folder after {apart[0]} for a folder of tests and did not read "
            f"{settings}; write {apart[0]}=DIR, with an equals sign"
        )
