"""Machines by name, and the time that work takes on one.

A pass over weights needs its operations over the speed of products, and its bytes over the speed
of memory; the two are added, not overlapped as in the roofline (Williams, Waterman and Patterson
2009): so 12, 45 and 150 rows come out as docs/engine.md measured them. To it come the small
operations of each layer, which are what short passes on a GPU consist of.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from editsuite.errors import OptionError, listing

FILE = Path(__file__).parent / "data" / "machines.yaml"
#: Share of the printed speeds that is assumed of a GPU; no GPU was measured.
GPU_SHARE = 0.4
#: Seconds of one layer's launches on a GPU: some fifteen kernels of ten microseconds.
GPU_LAUNCH = 150e-6
#: Seconds that a layer's small operations take on a CPU beside its products.
CPU_LAUNCH = 150e-6
#: Share of a second thread that is gained on a CPU (docs/engine.md: 95 to 176 GFLOP/s).
SECOND_THREAD = 0.85


@dataclass(frozen=True)
class Work:
    """Work that is done ``passes`` times.

    Attributes:
        flops: floating point operations of all passes; a multiplication and an addition are two.
        passes: how often the weights are gone through.
        bytes: read from memory in one pass.
        layers: gone through in one pass.
    """

    flops: float
    passes: float
    bytes: float
    layers: float


@dataclass(frozen=True)
class Machine:
    """A GPU, or some CPUs.

    Attributes:
        name: as it is given.
        title: in full.
        memory: bytes; None for a CPU, whose memory is the machine's.
        flops: operations a second that are reckoned with.
        bandwidth: bytes a second that are reckoned with.
        launch: seconds of a layer beside its products.
        measured: whether the speeds were measured by this project.
    """

    name: str
    title: str
    memory: float | None
    flops: float
    bandwidth: float
    launch: float
    measured: bool

    def seconds(self, work: Work) -> float:
        """Time for some work."""
        products = work.flops / self.flops
        reading = work.passes * work.bytes / self.bandwidth
        return products + reading + work.passes * work.layers * self.launch


@cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def known_machines() -> tuple[str, ...]:
    """Names that ``--gpu`` takes."""
    return tuple(_read())


def read_machine(name: str, dtype: str = "float32", threads: int | None = None) -> Machine:
    """A machine by its name.

    Args:
        name: ``cpu``, or a GPU's.
        dtype: of the weights; it decides the speed of products.
        threads: of a CPU; None: all that this machine has.

    Raises:
        OptionError: there is none of that name.
    """
    known = _read()
    if name not in known:
        raise OptionError(f"--gpu is {name!r}; it can be {listing(known)}")
    told = known[name]
    speed = told["tflops"].get("float32" if dtype == "float32" else "bfloat16") * 1e12
    bandwidth = told["bandwidth_gb"] * 1e9
    if not told.get("measured"):
        return Machine(
            name,
            told["title"],
            told["memory_gb"] * 1e9,
            speed * GPU_SHARE,
            bandwidth * GPU_SHARE,
            GPU_LAUNCH,
            False,
        )
    count = threads or os.cpu_count() or 1
    gain = 1 + SECOND_THREAD * (count - 1)
    title = f"{count} CPUs like those of docs/performance.md"
    # Two threads share one memory: docs/engine.md has no more of it with two than with one.
    return Machine(name, title, None, speed * gain, bandwidth, CPU_LAUNCH, True)
