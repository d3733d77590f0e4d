"""One finding of the doctor."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import editsuite

#: The folder that holds the package: the clone, where it was installed from one.
ROOT: Final = Path(editsuite.__file__).resolve().parents[1]


class Status(StrEnum):
    """How a thing stands: there, not needed but wanting, or needed and not there."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True)
class Row:
    """What was found.

    Attributes:
        name: What was looked at.
        status: How it stands; only ``missing`` makes the doctor fail.
        detail: What was found, in words.
        mend: The command that mends it; empty where there is nothing to mend.
    """

    name: str
    status: Status
    detail: str
    mend: str = ""


def setup_command(anew: bool = False) -> str:
    """Return the command that sets everything up, for the place the suite is installed in.

    Args:
        anew: Whether what is there shall be removed first.
    """
    if (ROOT / "Makefile").is_file():
        return shlex.join(["make", "-C", str(ROOT), *(["clean"] if anew else []), "setup"])
    return pip_command("--force-reinstall" if anew else "--upgrade", "editsuite")


def suite_command(*arguments: str) -> str:
    """Return an `editsuite` command for this very Python, quoted for a shell."""
    return shlex.join([sys.executable, "-m", "editsuite.cli", *arguments])


def pip_command(*arguments: str) -> str:
    """Return a pip command for this very Python, quoted for a shell."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])
