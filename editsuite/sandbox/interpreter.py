"""The part of this Python that a program needs to run: files, and where they go inside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from editsuite.errors import SandboxError

#: Where things lie inside, so that no path there tells anything of the user's machine.
LIBRARIES, PREFIX, PACKAGE = "/lib", "/python", "/judge"
#: Extension modules that are of no use in there, and bring half a desktop with them.
LEFT_OUT = re.compile(r"_tkinter|_curses|readline|nis|_ssl|_dbm|_gdbm|_test|xx|ossaudiodev|spwd")
ASKING_S = 30


@dataclass(frozen=True)
class Interpreter:
    """Files that an interpreter needs.

    Attributes:
        executable: the interpreter itself.
        stdlib: folder of the standard library.
        loader: the dynamic loader, ``ld-linux``.
        libraries: shared libraries by the names that they are asked for.
        hidden: folders within ``stdlib`` that must not be seen, relative to it.
    """

    executable: Path
    stdlib: Path
    loader: Path
    libraries: tuple[tuple[str, Path], ...]
    hidden: tuple[str, ...]

    @property
    def _inner_stdlib(self) -> str:
        return f"{PREFIX}/{sys.platlibdir}/{self.stdlib.name}"

    @property
    def command(self) -> list[str]:
        """The command line inside, up to the interpreter's own options."""
        # Run by the loader, so that no search path within the binary counts. Not ``-I``, which
        # would overlook the fixed PYTHONHASHSEED.
        options = ("-P", "-s", "-S", "-B", "-u")
        inner = f"{PREFIX}/bin/python3"
        return [f"{LIBRARIES}/ld.so", "--library-path", LIBRARIES, inner, *options]

    @property
    def mounts(self) -> list[str]:
        """Arguments of bubblewrap that show these files, and no others, for reading only."""
        files = [
            (str(self.loader), f"{LIBRARIES}/ld.so"),
            *((str(path), f"{LIBRARIES}/{name}") for name, path in self.libraries),
            (str(self.executable), f"{PREFIX}/bin/python3"),
            (str(self.stdlib), self._inner_stdlib),
        ]
        mounts = [word for source, goal in files for word in ("--ro-bind", source, goal)]
        for name in self.hidden:
            folder = f"{self._inner_stdlib}/{name}"
            mounts += ["--size", "4096", "--tmpfs", folder, "--remount-ro", folder]
        return mounts


def this_interpreter() -> Interpreter:
    """The files of the Python that runs this.

    Raises:
        SandboxError: the dynamic loader does not tell which libraries it needs.
    """
    executable = Path(sys.executable).resolve()
    stdlib = Path(sysconfig.get_path("stdlib")).resolve()
    loader, libraries = _libraries(executable, stdlib / "lib-dynload")
    hidden = tuple(n for n in ("site-packages", "dist-packages") if (stdlib / n).is_dir())
    return Interpreter(executable, stdlib, loader, libraries, hidden)


def _libraries(executable: Path, extensions: Path) -> tuple[Path, tuple[tuple[str, Path], ...]]:
    """The loader, and what it would load for the interpreter and its extension modules."""
    names = sorted(path.name for path in extensions.glob("*.so"))
    wanted = [f"./{name}" for name in names if not LEFT_OUT.match(name)]
    written = _trace(executable, extensions if wanted else executable.parent, wanted)
    found = {name: Path(path) for name, path in re.findall(r"(\S+) => (/.+) \(0x", written)}
    loaders = re.findall(r"^\s*(/\S*/ld-\S+)(?: =>.*)? \(0x", written, re.MULTILINE)
    if not loaders or "libc.so.6" not in found:
        raise SandboxError(
            f"the dynamic loader does not say which libraries {executable} needs, so no sandbox "
            "can be laid out: use a Python that is linked against glibc"
        )
    return Path(loaders[0]), tuple(sorted(found.items()))


def _trace(executable: Path, folder: Path, preloaded: Sequence[str]) -> str:
    """What the loader writes instead of starting the interpreter (``man 8 ld.so``)."""
    environment = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_PRELOAD": ":".join(preloaded)}
    if path := os.environ.get("LD_LIBRARY_PATH"):
        environment["LD_LIBRARY_PATH"] = path
    try:
        return subprocess.run(
            [str(executable)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=ASKING_S,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
