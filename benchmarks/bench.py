"""Two ways to do the same work, timed in turns in one process, and the record of it.

Ours and the rival alternate (A B A B ...), so that a machine which slows down slows both. Every
finished pair is kept in ``reports/bench/NAME.json``: a benchmark that was stopped goes on where
it was. Kept timings count only for the same code, machine, threads and settings. The record, with
medians, goes into the list ``reports/bench.json`` in the place of the one of the same name.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from filelock import FileLock
from rich import box
from rich.console import Console
from rich.table import Table

from editsuite.cards import LoadedModel, cache_root, load_model, resolve_card, tiny_model
from editsuite.cards.default import DEFAULT_MODEL as DEFAULT_MODEL
from editsuite.errors import EditsuiteError
from editsuite.files import write_text_atomically
from editsuite.plugin.workers import cpus

ROOT = Path(__file__).resolve().parents[1]
#: The model of ``--model tiny``: random weights, for trying a script out.
TINY = "tiny"

# What every script takes, so that ``make bench ARGS=...`` can tell all of them.
Model = Annotated[str, typer.Option(help="card, hub id or folder of the model; tiny: a random one")]
Repeats = Annotated[int, typer.Option(min=1, help="timings of each side; the median counts")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads of both sides; 0: all CPUs")]
Fresh = Annotated[bool, typer.Option("--fresh", help="forget the timings that are kept")]
Reports = Annotated[Path, typer.Option(help="folder of the records and the kept timings")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps")]
DEFAULT_REPORTS = ROOT / "reports"


@dataclass(frozen=True)
class Machine:
    """What the numbers were measured on.

    Attributes:
        cpu: model name of the processor.
        cores: CPUs this process may use.
        torch: version of torch.
        device: name of the accelerator; empty where there is none in use.
    """

    cpu: str
    cores: int
    torch: str
    device: str = ""


@dataclass(frozen=True)
class Side:
    """One of the two ways.

    Attributes:
        prepare: gives what is timed of a repeat (counted from 0); called before the clock starts.
        seconds: reads the time off the result, where the work also does what is not to be timed.
    """

    prepare: Callable[[int], Callable[[], Any]]
    seconds: Callable[[Any], float] | None = None


@dataclass(frozen=True)
class Compared:
    """Whether two results are the same.

    Attributes:
        equal: whether they count as the same.
        difference: how far they are apart, in the benchmark's own measure.
    """

    equal: bool
    difference: float


@dataclass(frozen=True)
class Pair:
    """One timing of each side."""

    ours_s: float
    rival_s: float
    equal: bool
    difference: float


@dataclass(frozen=True)
class Duel:
    """A benchmark.

    Attributes:
        name: name of the record.
        target: the ratio aimed at; None where there is no aim.
        n: items of one timing.
        ours: our side.
        rival: the other side.
        compare: holds the two results of a repeat together.
        settings: JSON values the timings depend on.
        details: JSON values that go into the record beside the numbers.
    """

    name: str
    target: float | None
    n: int
    ours: Side
    rival: Side
    compare: Callable[[Any, Any], Compared]
    settings: Mapping[str, object] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """Where timings go, and under which conditions they are taken.

    Attributes:
        reports: folder of ``bench.json`` and ``bench/``.
        threads: CPU threads of both sides.
        command: the command line, for the record.
        machine: what is measured on.
        code: digest of the code that is measured.
        since: kept timings from before this time (seconds since 1970) are not used.
        console: the terminal.
        clock: seconds, of which differences count.
        settle: called before the clock is read (waits for an accelerator).
    """

    reports: Path
    threads: int
    command: str
    machine: Machine
    code: str
    since: float = 0.0
    console: Console = field(default_factory=Console)
    clock: Callable[[], float] = time.perf_counter
    settle: Callable[[], object] = field(default=lambda: None)

    @cached_property
    def conditions(self) -> dict[str, object]:
        """What makes two timings comparable, besides a benchmark's own settings."""
        return {"code": self.code, "threads": self.threads, "machine": asdict(self.machine)}

    def kept(self, name: str, settings: Mapping[str, object]) -> Any:
        """The kept value of that name, if it was made under the same conditions, else None."""
        try:
            held = json.loads(self._path(name).read_text(encoding="utf-8"))
            same = held["settings"] == _plain({**self.conditions, **settings})
            return held["value"] if same and held["written"] >= self.since else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, name: str, settings: Mapping[str, object], value: Any) -> Any:
        """Keep a JSON value; gives it back as it will be read."""
        held = {
            "settings": {**self.conditions, **settings},
            "written": time.time(),
            "value": value,
        }
        write_text_atomically(self._path(name), json.dumps(held, indent=1) + "\n")
        return _plain(value)

    def once(self, name: str, settings: Mapping[str, object], work: Callable[[], Any]) -> Any:
        """The kept value of a part, or that of doing it now."""
        value = self.kept(name, settings)
        return self.keep(name, settings, work()) if value is None else value

    def timed(self, side: Side, repeat: int) -> tuple[float, Any]:
        """Seconds and result of one repeat of one side."""
        work = side.prepare(repeat)
        self.settle()
        start = self.clock()
        result = work()
        self.settle()
        seconds = self.clock() - start
        return (seconds if side.seconds is None else side.seconds(result)), result

    def run(self, duel: Duel, repeats: int) -> dict[str, Any]:
        """Time both sides in turns, as often as is not kept yet, and write the record."""
        held = self.kept(duel.name, duel.settings) or []
        pairs = [Pair(**pair) for pair in held]
        for repeat in range(len(pairs), repeats):
            ours_s, ours = self.timed(duel.ours, repeat)
            rival_s, rival = self.timed(duel.rival, repeat)
            compared = duel.compare(ours, rival)
            pairs.append(Pair(ours_s, rival_s, compared.equal, compared.difference))
            self.keep(duel.name, duel.settings, [asdict(pair) for pair in pairs])
            self.console.print(
                f"[dim]{duel.name} {repeat + 1}/{repeats}: ours {ours_s:.3f} s, "
                f"rival {rival_s:.3f} s, difference {compared.difference:.3g}[/dim]"
            )
        return self.write(
            self.record(
                pairs[:repeats],
                name=duel.name,
                target=duel.target,
                n=duel.n,
                details=duel.details,
            )
        )

    def record(
        self,
        pairs: Sequence[Pair],
        *,
        name: str,
        target: float | None,
        n: int,
        details: Mapping[str, object],
    ) -> dict[str, Any]:
        """The record of a benchmark: medians, the ratio of the medians, and what it was."""
        ours_s = statistics.median(pair.ours_s for pair in pairs)
        rival_s = statistics.median(pair.rival_s for pair in pairs)
        return {
            "name": name,
            "ours_s": ours_s,
            "rival_s": rival_s,
            "ratio": rival_s / ours_s,
            "target": target,
            "equal": all(pair.equal for pair in pairs),
            "n": n,
            "threads": self.threads,
            "command": self.command,
            "machine": asdict(self.machine),
            "repeats": len(pairs),
            "difference": largest(pair.difference for pair in pairs),
            "ours_all": [pair.ours_s for pair in pairs],
            "rival_all": [pair.rival_s for pair in pairs],
            "code": self.code[:12],
            **details,
        }

    def write(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Put a record into ``bench.json`` in the place of the one of the same name."""
        path = self.reports / "bench.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            records = read_records(path)
            names = [held["name"] for held in records]
            new = _plain(record)
            if new["name"] in names:
                records[names.index(new["name"])] = new
            else:
                records.append(new)
            write_text_atomically(path, json.dumps(records, indent=1) + "\n")
        self.console.print(table([new]))
        return dict(new)

    def cache(self, model: str) -> Path:
        """The suite's cache; what belongs to the tiny model stays with the timings."""
        return self.reports / "bench" / "cache" if model == TINY else cache_root()

    def _path(self, name: str) -> Path:
        return self.reports / "bench" / f"{name}.json"


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of ``bench.json``; none where there is no such file yet."""
    if not path.exists():
        return []
    return list(json.loads(path.read_text(encoding="utf-8")))


def table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Records as a table for the terminal."""
    made = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("name", "ours s", "rival s", "ratio", "target", "equal", "apart", "n"):
        made.add_column(column, justify="left" if column == "name" else "right", no_wrap=True)
    for r in records:
        met = r["target"] is None or r["ratio"] >= r["target"]
        made.add_row(
            r["name"],
            f"{r['ours_s']:.3f}",
            f"{r['rival_s']:.3f}",
            f"[{'green' if met else 'red'}]{r['ratio']:.2f}[/]",
            "-" if r["target"] is None else f"{r['target']:g}",
            "yes" if r["equal"] else "[red]no[/]",
            f"{r['difference']:.3g}",
            str(r["n"]),
        )
    return made


def open_bench(
    *, threads: int, fresh: bool, reports: Path, device: torch.device | None = None
) -> Bench:
    """Set the threads and find out about machine and code.

    Args:
        threads: CPU threads; 0 for all CPUs.
        fresh: forget what is kept.
        reports: folder of the records.
        device: where the model lies; None for the CPU.
    """
    number = threads or cpus()
    torch.set_num_threads(number)
    accelerated = device is not None and device.type == "cuda"
    name = torch.cuda.get_device_name(device) if accelerated else ""
    machine = Machine(cpu_model(), cpus(), str(torch.__version__), name)
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    since = time.time() if fresh else 0.0
    if accelerated:
        return Bench(
            reports, number, command, machine, code_digest(), since, settle=torch.cuda.synchronize
        )
    return Bench(reports, number, command, machine, code_digest(), since)


def open_model(model: str, device: str) -> LoadedModel:
    """Load a model in float32 from the suite's cache, or make the tiny one."""
    if model == TINY:
        return tiny_model("llama", context_length=8192)
    return load_model(resolve_card(model), device=device, cache=cache_root())


def named(name: str, loaded: LoadedModel) -> str:
    """A record's name; what runs elsewhere than on a CPU has a record of its own."""
    return name if loaded.device.type == "cpu" else f"{name}-{loaded.device.type}"


def largest(differences: Iterable[float]) -> float:
    """The largest; NaN, which ``max`` may overlook, where one is NaN or there is none."""
    found = list(differences)
    return max(found) if found and not any(map(math.isnan, found)) else math.nan


def start(main: Callable[..., None]) -> None:
    """Run a script; what the user can mend is told without a traceback."""
    try:
        typer.run(main)
    except EditsuiteError as error:
        Console(stderr=True).print(str(error), style="red", highlight=False, markup=False)
        raise SystemExit(1) from None


def cpu_model() -> str:
    """Name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def code_digest() -> str:
    """Hex sha256 over the sources of the suite and of the benchmarks."""
    digest = hashlib.sha256()
    for folder in ("editsuite", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value))
