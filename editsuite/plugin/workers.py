"""GPUs and CPU threads shared out among xdist's workers, before torch starts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from itertools import takewhile

import pytest

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Share:
    """What one worker may use.

    Attributes:
        threads: CPU threads.
        gpu: the GPU's name in the caller's list; None where there is none.
        memory_fraction: part of that GPU's memory.
    """

    threads: int
    gpu: str | None
    memory_fraction: float


def share(worker: int, workers: int, cpus: int, gpus: list[str]) -> Share:
    """Share out a machine.

    Worker i gets GPU i of the caller's list; with more workers than GPUs the list goes round and
    workers on one GPU get equal parts of its memory.

    Args:
        worker: number of this worker, from 0.
        workers: how many there are.
        cpus: CPUs this process may use.
        gpus: the caller's visible GPUs.
    """
    threads = max(1, cpus // workers)
    if not gpus:
        return Share(threads, None, 1.0)
    place = worker % len(gpus)
    beside = sum(1 for other in range(workers) if other % len(gpus) == place)
    return Share(threads, gpus[place], 1.0 / beside)


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The caller's GPUs: those of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists."""
    if VISIBLE in environment:
        named = [part.strip() for part in environment[VISIBLE].split(",")]
        # CUDA itself stops at the first name that is none.
        return list(takewhile(lambda name: name not in ("", "-1"), named))
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()


def cpus() -> int:
    """CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def take_share(config: pytest.Config, environment: MutableMapping[str, str]) -> Share:
    """Find this process's share and set the variables that torch reads when it starts."""
    workerinput = getattr(config, "workerinput", None)
    worker, workers = 0, 1
    if workerinput is not None:
        worker = int(str(workerinput["workerid"]).removeprefix("gw"))
        workers = int(workerinput["workercount"])
    mine = share(worker, workers, cpus(), visible_gpus(environment) if workerinput else [])
    if workerinput is not None:
        for name in THREAD_VARIABLES:
            environment[name] = str(mine.threads)
        if mine.gpu is not None:
            environment[VISIBLE] = mine.gpu
    return mine


def apply_share(mine: Share) -> None:
    """Tell torch, once it is wanted."""
    import torch

    torch.set_num_threads(mine.threads)
    if mine.memory_fraction < 1.0 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(mine.memory_fraction)
