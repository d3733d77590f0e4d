"""The filter of system calls, assembled here: libseccomp is not there everywhere.

A program of classic BPF that the kernel runs before every system call (``man 2 seccomp``). It is
one more wall behind the namespaces: what a single-threaded computation does not need answers
"not permitted", and what was added to kernels later answers "no such call".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from editsuite.errors import SandboxError, listing
from editsuite.sandbox.syscalls import DENIED

#: ``AUDIT_ARCH_*`` of the kernel (``linux/audit.h``) by what ``platform.machine()`` says.
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: Calls from here on are newer than this list: ``statmount`` and later.
UNKNOWN_FROM = 457
#: x86_64 only: the x32 calls are the same kernel by other numbers.
X32_FROM = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
KILL, ALLOW = 0x80000000, 0x7FFF0000
NOT_PERMITTED, NO_SUCH_CALL = 0x00050001, 0x00050026


def seccomp_filter(machine: str) -> bytes:
    """The filter for a machine, as ``bwrap --seccomp`` reads it.

    Raises:
        SandboxError: the system calls of this architecture are not known here.
    """
    if machine not in ARCHITECTURES:
        raise SandboxError(
            f"the sandbox knows no system calls of {machine!r}: run on {listing(ARCHITECTURES)}"
        )
    numbers = sorted(call[machine] for call in DENIED.values() if machine in call)
    steps = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_EQUAL, ARCHITECTURES[machine], yes=1),
        _step(_RETURN, KILL),
        _step(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        steps += [_step(_AT_LEAST, X32_FROM, no=1), _step(_RETURN, KILL)]
    steps += [_step(_AT_LEAST, UNKNOWN_FROM, no=1), _step(_RETURN, NO_SUCH_CALL)]
    return b"".join([*steps, *_denials(numbers), _step(_RETURN, ALLOW)])


def _denials(numbers: Sequence[int]) -> list[bytes]:
    # ``clone3`` hides its flags from a filter. "No such call" lets the C library fall back to
    # ``clone``, which is then refused in the usual way.
    answers = {435: NO_SUCH_CALL}
    return [
        step
        for number in numbers
        for step in (
            _step(_EQUAL, number, no=1),
            _step(_RETURN, answers.get(number, NOT_PERMITTED)),
        )
    ]


def _step(code: int, operand: int, yes: int = 0, no: int = 0) -> bytes:
    """A ``struct sock_filter``; ``yes`` and ``no`` tell how many steps to leave out."""
    return struct.pack("=HBBI", code, yes, no, operand)
