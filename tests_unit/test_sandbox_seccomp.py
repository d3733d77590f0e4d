"""The filter of system calls, run here as the kernel runs it."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.errors import SandboxError
from editsuite.sandbox.seccomp import (
    ALLOW,
    ARCHITECTURES,
    KILL,
    NO_SUCH_CALL,
    NOT_PERMITTED,
    UNKNOWN_FROM,
    X32_FROM,
    seccomp_filter,
)
from editsuite.sandbox.syscalls import DENIED

MACHINES = sorted(ARCHITECTURES)
#: What Python does all the time: read, write, mmap, exit_group, futex, execve.
NEEDED = {"x86_64": (0, 1, 9, 231, 202, 59), "aarch64": (63, 64, 222, 94, 98, 221)}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def answer(program: bytes, number: int, architecture: int) -> int:
    """What the filter says to a call (``linux/filter.h``: load, jump if equal, if at least)."""
    data = struct.pack("<II", number, architecture)
    steps = list(struct.iter_unpack("=HBBI", program))
    at = loaded = 0
    while True:
        code, yes, no, operand = steps[at]
        at += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("<I", data, operand)
        elif code == 0x06:
            return int(operand)
        else:
            held = loaded == operand if code == 0x15 else loaded >= operand
            at += yes if held else no


@pytest.mark.parametrize("machine", MACHINES)
def test_each_call_of_the_list_is_refused(machine: str) -> None:
    program, architecture = seccomp_filter(machine), ARCHITECTURES[machine]
    for name, numbers in DENIED.items():
        if machine in numbers:
            refused = NO_SUCH_CALL if name == "clone3" else NOT_PERMITTED
            assert answer(program, numbers[machine], architecture) == refused, name


@pytest.mark.parametrize("machine", MACHINES)
def test_what_python_needs_is_allowed(machine: str) -> None:
    for number in NEEDED[machine]:
        assert answer(seccomp_filter(machine), number, ARCHITECTURES[machine]) == ALLOW


@given(st.sampled_from(MACHINES), st.integers(0, 2**32 - 1))
def test_every_call_has_one_answer(machine: str, number: int) -> None:
    """No number slips through between the list, the unknown and the x32 ones."""
    said = answer(seccomp_filter(machine), number, ARCHITECTURES[machine])
    denied = number in {calls.get(machine) for calls in DENIED.values()}
    if machine == "x86_64" and number >= X32_FROM:
        assert said == KILL
    elif number >= UNKNOWN_FROM:
        assert said == NO_SUCH_CALL
    else:
        assert (said == ALLOW) == (not denied)


@pytest.mark.parametrize("machine", MACHINES)
@given(st.integers(0, 2**32 - 1), st.integers(0, 600))
def test_another_architecture_is_deadly(machine: str, architecture: int, number: int) -> None:
    if architecture != ARCHITECTURES[machine]:
        assert answer(seccomp_filter(machine), number, architecture) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_kernel_s(machine: str) -> None:
    if not HEADERS[machine].is_file():
        pytest.skip("the kernel's headers are not installed")
    text = HEADERS[machine].read_text(encoding="utf-8")
    theirs = {n: int(v) for n, v in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    for name, numbers in DENIED.items():
        if machine in numbers and name in theirs:  # older headers do not know the newest
            assert numbers[machine] == theirs[name], name


@pytest.mark.parametrize("machine", MACHINES)
def test_no_jump_is_longer_than_a_byte_and_bubblewrap_can_read_it(machine: str) -> None:
    """``bwrap`` wants whole steps, and the pipe that carries them holds 4 KiB at least."""
    assert len(seccomp_filter(machine)) % 8 == 0
    assert len(seccomp_filter(machine)) < 4096


def test_an_unknown_machine_has_no_sandbox() -> None:
    with pytest.raises(SandboxError, match="riscv64"):
        seccomp_filter("riscv64")
