"""Long work in several processes, of which one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

from editsuite.commands.calibrate import end_with_parent
from editsuite.errors import EditsuiteError

T = TypeVar("T")
R = TypeVar("R")


def in_processes(work: Callable[[T], R], items: Sequence[T], jobs: int) -> Iterator[R]:
    """Results as they are done; the processes end with this one.

    Args:
        work: what is done with an item; it and the items go to another process.
        items: the items, begun in their order.
        jobs: processes.

    Raises:
        EditsuiteError: at the end, where some items failed; it names each with its error.
    """
    failed = []
    spawning = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawning, initializer=end_with_parent) as pool:
        running = {pool.submit(work, item): item for item in items}
        for done in as_completed(running):
            error = done.exception()
            if error is None:
                yield done.result()
            else:
                name = getattr(running[done], "name", running[done])
                failed.append(f"{name}: {type(error).__name__}: {error}")
    if failed:
        raise EditsuiteError(f"{len(failed)} of {len(items)} failed; {'; '.join(failed)}")
