"""An edit takes all CPUs while it runs alone, and its share beside anybody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from editsuite.cards import tiny_model
from editsuite.engine import Continuation, DecoderStack, score, threads_keep_bits
from editsuite.runs.threads import Threads

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not threads_keep_bits(), reason="this build of torch has no oneDNN product"),
]
ITEM = [Continuation((1, 2, 3), (4,))]


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is killed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def seen(stack: DecoderStack) -> int:
    """Threads in the middle of a forward pass."""
    found: list[int] = []
    handle = stack.layers[0].register_forward_hook(lambda *_: found.append(torch.get_num_threads()))
    score(stack, ITEM)
    handle.remove()
    return found[0]


def test_alone_it_takes_everything_and_gives_it_back(tmp_path: Path) -> None:
    stack, threads = DecoderStack(tiny_model("llama", 3)), Threads(tmp_path / "busy", 3)
    with threads.editing(stack):
        assert seen(stack) == 3
    assert torch.get_num_threads() == 1
    assert seen(stack) == 1
    with pytest.raises(ValueError, match="at least one token"), threads.editing(stack):
        score(stack, [*ITEM, Continuation((), (1,))])
    assert torch.get_num_threads() == 1
    assert not list((tmp_path / "busy").iterdir())


def test_beside_another_it_keeps_to_its_share_at_once(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    stack, threads = DecoderStack(tiny_model("llama", 3)), Threads(tmp_path, 3)
    mark = tmp_path / str(other.pid)
    with threads.editing(stack):
        assert seen(stack) == 3
        mark.touch()
        assert seen(stack) == 1
        mark.unlink()
        assert seen(stack) == 3


def test_who_was_killed_is_no_neighbour(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    stack, threads = DecoderStack(tiny_model("llama", 3)), Threads(tmp_path, 3)
    mark = tmp_path / str(other.pid)
    mark.touch()
    other.kill()
    other.wait()
    with threads.editing(stack):
        assert seen(stack) == 3
    assert not mark.exists()


def test_looking_is_seen_by_others_and_only_while_it_lasts(tmp_path: Path) -> None:
    threads = Threads(tmp_path, None)
    with threads.busy():
        with threads.busy():
            pass
        assert [p.name for p in tmp_path.iterdir()] == [str(os.getpid())]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("everything", [None, 1])
def test_without_more_cpus_nothing_changes(tmp_path: Path, everything: int | None) -> None:
    stack, threads = DecoderStack(tiny_model("llama", 3)), Threads(tmp_path, everything)
    with threads.editing(stack):
        assert seen(stack) == 1
