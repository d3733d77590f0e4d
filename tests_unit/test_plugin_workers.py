"""GPUs and threads shared out among workers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.plugin.workers import share, visible_gpus

GPUS = st.lists(st.sampled_from("0123456789"), unique=True, max_size=8)


@pytest.mark.parametrize(
    ("variable", "gpus"),
    [
        ("3,5", ["3", "5"]),
        (" 3 , 5 ", ["3", "5"]),
        ("GPU-8f2e,MIG-77aa", ["GPU-8f2e", "MIG-77aa"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
        ("0,,1", ["0"]),
    ],
)
def test_the_callers_list_is_read_as_cuda_reads_it(variable: str, gpus: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": variable}) == gpus


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert visible_gpus({}) == []


@settings(deadline=None)
@given(st.integers(1, 16), st.integers(1, 64), GPUS)
def test_nothing_is_promised_twice(workers: int, cpus: int, gpus: list[str]) -> None:
    shares = [share(i, workers, cpus, gpus) for i in range(workers)]
    assert all(s.threads >= 1 for s in shares)
    assert sum(s.threads for s in shares) <= max(cpus, workers)
    for gpu in gpus:
        assert sum(s.memory_fraction for s in shares if s.gpu == gpu) <= 1 + 1e-9
    used = {s.gpu for s in shares} - {None}
    assert len(used) == min(workers, len(gpus))
    for i, s in enumerate(shares[: len(gpus)]):
        assert s.gpu == gpus[i]


def test_more_workers_than_gpus_share_by_memory() -> None:
    shares = [share(i, 5, 10, ["3", "5"]) for i in range(5)]
    assert [s.gpu for s in shares] == ["3", "5", "3", "5", "3"]
    assert [s.memory_fraction for s in shares] == pytest.approx([1 / 3, 1 / 2, 1 / 3, 1 / 2, 1 / 3])
    assert {s.threads for s in shares} == {2}


WORKER = """
import os, sys
from types import SimpleNamespace
import editsuite.plugin
from editsuite.plugin import workers
import editsuite.plugin.session, editsuite.plugin.reporter, editsuite.plugin.cases
assert "torch" not in sys.modules
workers.cpus = lambda: 6
config = SimpleNamespace(workerinput={"workerid": "gw1", "workercount": 3})
mine = workers.take_share(config, os.environ)
assert "torch" not in sys.modules
import torch
print(os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"], torch.get_num_threads())
"""


def test_a_worker_takes_its_share_before_torch_starts() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "7,4"}
    done = subprocess.run(
        [sys.executable, "-c", WORKER], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["4", "2", "2"]


def test_the_process_that_hands_out_work_changes_nothing() -> None:
    from types import SimpleNamespace

    from editsuite.plugin.workers import take_share

    environment: dict[str, str] = {"CUDA_VISIBLE_DEVICES": "3"}
    mine = take_share(SimpleNamespace(), environment)  # type: ignore[arg-type]
    assert environment == {"CUDA_VISIBLE_DEVICES": "3"}
    assert (mine.gpu, mine.memory_fraction) == (None, 1.0)
