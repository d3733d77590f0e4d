"""lm-eval without its bars and its advice, which a run's own progress has no room for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """Within, lm-eval's warnings and the bars of its tasks are off; its errors show."""
    import lm_eval.api.task as tasks

    log = logging.getLogger("lm_eval")
    level, bar = log.level, tasks.tqdm
    log.setLevel(logging.ERROR)
    tasks.tqdm = _no_bar
    try:
        yield
    finally:
        tasks.tqdm = bar
        log.setLevel(level)


def _no_bar(items: Iterable[Any], **_: object) -> Iterable[Any]:
    return items
