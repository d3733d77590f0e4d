"""The proof that a sandbox holds: a program that tries to get out, and tells how far it came.

The settings of bubblewrap are not trusted, nor is its exit status: what counts is what a program
within can do.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from editsuite.errors import SandboxError
from editsuite.sandbox.limits import Limits
from editsuite.sandbox.program import Program
from editsuite.sandbox.verdict import Verdict

#: Ways out, each a function that returns true, or raises nothing, where it leads out.
WAYS = """
import errno, os, socket

def reads_a_file_of_the_user(secret, path, pid):
    with open(path) as file:
        return file.read() == secret

def reads_the_accounts(secret, path, pid):
    return open("/etc/passwd").read()

def reads_the_environment(secret, path, pid):
    return set(os.environ) - {"PWD", "LC_CTYPE", "PYTHONHASHSEED"}

def sees_processes(secret, path, pid):
    return os.listdir("/proc")

def signals_who_started_it(secret, path, pid):
    os.kill(pid, 0)
    return True

def is_the_user(secret, path, pid):
    return os.getuid() != 65534 or os.getpid() > 9

def writes_outside(secret, path, pid):
    for folder in ("/", "/dev", "/python", "/judge", os.path.dirname(path), "/var", "/home"):
        try:
            open(os.path.join(folder, "written"), "w").close()
            return True
        except OSError:
            pass

def fills_the_disk(secret, path, pid):
    for name in ("one", "two"):
        with open("/tmp/" + name, "wb") as file:
            file.write(bytes(LIMIT * 3 // 4))
    return True

def opens_a_socket(secret, path, pid):
    socket.socket().close()
    return True

def starts_a_process(secret, path, pid):
    if not os.fork():
        os._exit(0)
    return True

def starts_a_thread(secret, path, pid):
    import threading
    threading.Thread(target=print).start()
    return True

def makes_a_namespace(secret, path, pid):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.unshare(0x10000000) == 0

def gains_rights(secret, path, pid):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges = libc.prctl(39, 0, 0, 0, 0) == 1
    filtered = libc.prctl(21, 0, 0, 0, 0) == 2
    return not no_new_privileges or not filtered

def takes_all_memory(secret, path, pid):
    return bytearray(MEMORY)

def raises_its_limits(secret, path, pid):
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return True

def ways_out(secret, path, pid):
    found = []
    for name, way in WAYS.items():
        try:
            if way(secret, path, pid):
                found.append(name)
        except (OSError, RuntimeError, MemoryError, ValueError, ImportError):
            pass
    return found

WAYS = {n: f for n, f in list(globals().items()) if "_" in n and callable(f) and n != "ways_out"}

def number_of_ways():
    return len(WAYS)
"""
NUMBER = WAYS.count("\ndef ") - 2


class Judge(Protocol):
    """What is proved."""

    limits: Limits

    def run(self, programs: Sequence[Program]) -> list[Verdict]:
        """Judge programs."""


def prove(judge: Judge) -> None:
    """Try every way out.

    Raises:
        SandboxError: a way leads out, or the sandbox does not run a sound program.
    """
    limits = judge.limits
    with _secret() as (secret, path):
        sizes = f"MEMORY = {limits.memory_bytes}\nLIMIT = {limits.files_bytes}\n"
        arguments = f"{secret!r}, {str(path)!r}, {os.getpid()}"
        checks = (f"assert number_of_ways() == {NUMBER}", f"assert ways_out({arguments}) == []")
        (verdict,) = judge.run([Program(sizes + WAYS, checks)])
    if not verdict.passed:
        raise SandboxError(f"it does not hold ({verdict.outcome}: {verdict.detail})")


@contextmanager
def _secret() -> Iterator[tuple[str, Path]]:
    """A secret in a file of the user's, which nobody within may read."""
    secret = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret"
        path.write_text(secret)
        yield secret, path
