"""Progress of long edits, shown while the tests run."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from editsuite.chains import Progress
    from editsuite.runs import Case

#: Seconds between lines where the terminal cannot be rewritten.
PLAIN_EVERY = 30.0
POLL = 0.5


class ProgressWriter:
    """A worker's side: tells of edits by a small file.

    Args:
        folder: shared by all workers of a run.
        worker: this worker's name.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        self._path = folder / f"{worker}.json"

    def __call__(self, case: Case, progress: Progress) -> None:
        """Tell of one edit."""
        told = {
            "case": str(case),
            "index": progress.index,
            "target": progress.target,
            "seconds": progress.record.get("seconds"),
            "nll": progress.record.get("nll_after"),
            "facts": progress.record.get("facts"),
        }
        part = self._path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(told), encoding="utf-8")
        part.replace(self._path)


class ProgressReader:
    """The terminal's side: a thread that shows the newest edit.

    Args:
        folder: where the workers write.
        stream: the terminal.
    """

    def __init__(self, folder: Path, stream: TextIO) -> None:
        self._folder, self._stream = folder, stream
        self._live = stream.isatty()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._shown: dict[str, tuple[int, float]] = {}

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and leave the line clean."""
        self._stop.set()
        self._thread.join()
        if self._live and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _watch(self) -> None:
        while not self._stop.wait(POLL):
            for path in sorted(self._folder.glob("*.json")):
                try:
                    told = json.loads(path.read_text(encoding="utf-8"))
                except (OSError, ValueError):
                    continue
                self._show(path.stem, told)

    def _show(self, worker: str, told: Mapping[str, Any]) -> None:
        index, at = self._shown.get(told["case"], (0, 0.0))
        now = time.monotonic()
        if told["index"] <= index:
            return
        line = describe(worker, told)
        if self._live:
            self._stream.write(f"\r\x1b[K{line}")
        elif now - at < PLAIN_EVERY and told["index"] != told["target"]:
            return
        else:
            self._stream.write(f"\n{line}")
        self._shown[told["case"]] = (told["index"], now)
        self._stream.flush()


def describe(worker: str, told: Mapping[str, Any]) -> str:
    """One line: where a chain is, how the edit went, how long the rest will take."""
    left = (told["target"] - told["index"]) * float(told["seconds"] or 0.0)
    rest = f", about {left / 60:.0f} min left" if left > 60 else ""
    return (
        f"[{worker}] {told['case']}: edit {told['index']}/{told['target']} ({told['facts']}) "
        f"nll {float(told['nll'] or 0.0):.3f}, {float(told['seconds'] or 0.0):.1f} s{rest}"
    )
