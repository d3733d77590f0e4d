"""How many programs a second the sandbox judges, and whether sound programs pass.

    python -m benchmarks.study_sandbox
    python -m benchmarks.study_sandbox --programs mbpp.jsonl

Without a file: trivial programs of three checks, half of them right. With a file of JSON lines
in MBPP's fields (``code``, ``test_list``, ``test_setup_code``, ``challenge_test_list``): every
reference program against its own tests, and those that do not pass by name. How busy the machine
was is shown as well, because a neighbour on the same CPUs takes its share.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.bench import start
from editsuite.errors import OptionError
from editsuite.measures.capabilities.programs import named_like_builtins
from editsuite.sandbox import Program, Sandbox, Verdict

TRIVIAL = Program(
    "def add(a, b):\n    return a + b\n",
    ("assert add(1, 2) == 3", "assert add(0, 0) == 0", "assert add(-1, 1) == 0"),
)
WRONG = Program(TRIVIAL.code.replace("+", "-"), TRIVIAL.checks)
#: The issue's number, on 2 cores.
TARGET = 20.0


@dataclass(frozen=True)
class Timed:
    """Verdicts of programs in a row, and what they took.

    Attributes:
        verdicts: in the programs' order.
        wall_s: from the first start to the last verdict.
        workers: programs judged at once.
        busy: share of the machine's CPU time that somebody used meanwhile.
    """

    verdicts: tuple[Verdict, ...]
    wall_s: float
    workers: int
    busy: float

    @property
    def rate(self) -> float:
        """Programs a second."""
        return len(self.verdicts) / self.wall_s


def timed(sandbox: Sandbox, programs: Sequence[Program], workers: int) -> Timed:
    """Judge programs with the clock running."""
    psutil.cpu_percent()
    begin = time.perf_counter()
    verdicts = sandbox.run(programs, workers)
    wall_s = time.perf_counter() - begin
    return Timed(tuple(verdicts), wall_s, workers, psutil.cpu_percent() / 100)


def references(path: Path) -> list[tuple[str, Program]]:
    """The reference programs of a file with their ids."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_reference(json.loads(line)) for line in lines if line.strip()]


def _reference(row: dict[str, Any]) -> tuple[str, Program]:
    checks = (*row["test_list"], *row.get("challenge_test_list", ()))
    names = named_like_builtins(row["code"])
    program = Program(row["code"], checks, row.get("test_setup_code", ""), names)
    return str(row["task_id"]), program


def show(console: Console, title: str, found: Timed) -> None:
    """A table of outcomes and speed."""
    table = Table("", title, title=f"{len(found.verdicts)} programs")
    for outcome, number in Counter(v.outcome for v in found.verdicts).most_common():
        table.add_row(outcome, str(number))
    table.add_section()
    table.add_row("checks held", str(sum(v.executed for v in found.verdicts)))
    table.add_row("seconds", f"{found.wall_s:.2f}")
    table.add_row("at once", str(found.workers))
    table.add_row("programs a second", f"{found.rate:.1f} (target {TARGET:g} on 2 cores)")
    table.add_row("machine busy", f"{found.busy:.0%} of all CPUs")
    console.print(table)


def show_lost(console: Console, names: Sequence[str], verdicts: Sequence[Verdict]) -> None:
    """The programs that did not pass, and why."""
    table = Table("id", "outcome", "checks held", "detail", title="not passed")
    for name, verdict in zip(names, verdicts, strict=True):
        if not verdict.passed:
            table.add_row(name, verdict.outcome, str(verdict.executed), verdict.detail)
    if table.row_count:
        console.print(table)


def main(
    programs: Annotated[
        Path | None, typer.Option(help="JSON lines in MBPP's fields", metavar="FILE")
    ] = None,
    number: Annotated[int, typer.Option(help="trivial programs to judge without a file")] = 200,
    workers: Annotated[int, typer.Option(help="programs at once; 0: one a CPU")] = 0,
) -> None:
    """Judge the programs and show the tables."""
    console = Console()
    if programs is not None and not programs.is_file():
        raise OptionError(f"--programs: there is no file {programs}")
    workers = workers or len(os.sched_getaffinity(0))
    with Sandbox.open() as sandbox:
        if programs is None:
            judged = [TRIVIAL, WRONG] * (number // 2)
            show(console, "trivial", timed(sandbox, judged, workers))
            return
        rows = references(programs)
        found = timed(sandbox, [program for _, program in rows], workers)
    show(console, programs.name, found)
    show_lost(console, [name for name, _ in rows], found.verdicts)


if __name__ == "__main__":
    start(main)
