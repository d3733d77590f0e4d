"""What a program may use up."""

from __future__ import annotations

from dataclasses import dataclass, fields

from editsuite.errors import SandboxError

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one program may use up. Exceeding any of them ends it, and it has not passed.

    A program is one process with one thread: the filter of system calls lets it start no other.
    So the limits of a process are the limits of a program.

    Attributes:
        cpu_s: seconds of CPU time, whole ones.
        wall_s: seconds from the first line of the program to the last check.
        memory_bytes: address space, the interpreter's own included. The process that holds the
            checks has the same limit, so a program and its checks take at most twice this.
        files_bytes: size of its private folder, and of any one file in it.
        files: files, folders and links in it. They are counted twenty times a second, so for a
            moment there may be some ten thousand more.
        output_bytes: what it may write to standard output, and as much again to standard error.
        value_bytes: one value that it returns, written down.
        source_bytes: its own source.
    """

    cpu_s: int = 5
    wall_s: float = 10.0
    memory_bytes: int = 512 * MIB
    files_bytes: int = 8 * MIB
    files: int = 1000
    output_bytes: int = 1 * MIB
    value_bytes: int = 4 * MIB
    source_bytes: int = 1 * MIB

    def __post_init__(self) -> None:
        """Refuse what no program could keep.

        Raises:
            SandboxError: a limit is not positive, or the interpreter itself needs more memory.
        """
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise SandboxError(f"Limits.{field.name} is {getattr(self, field.name)}: give > 0")
        if self.memory_bytes < 64 * MIB:
            raise SandboxError(
                f"Limits.memory_bytes is {self.memory_bytes}: the interpreter alone takes more; "
                f"give at least {64 * MIB}"
            )
