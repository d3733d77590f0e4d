"""A chain: the edits of one plan, made once and kept as they happen."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from editsuite.chains.journal import Entry, Journal
from editsuite.chains.plan import Plan
from editsuite.chains.progress import JournalWarning, Progress
from editsuite.chains.state import ModelState
from editsuite.editors.protocol import (
    BoundEditor,
    BringsState,
    Recorded,
    Remembers,
    State,
    Weight,
)
from editsuite.engine import DecoderStack
from editsuite.errors import ChainError

#: Seconds between looks at a chain that another process is editing.
POLL = 0.2


class Chain:
    """Brings a model into any state of a plan, editing only what no one has edited yet.

    Args:
        stack: the model, unedited.
        plan: what to edit.
        editor: the method, bound to that model.
        cache: the suite's cache folder.
        around: entered for the time of each computation of the editor (CPU threads, say).
    """

    def __init__(
        self,
        stack: DecoderStack,
        plan: Plan,
        editor: BoundEditor,
        cache: Path,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.plan = plan
        self.journal = Journal(cache, plan)
        self.state: State
        if isinstance(editor, BringsState):
            self.state = editor.open_state()
        else:
            told = editor if isinstance(editor, Remembers) else None
            self.state = ModelState(stack.loaded, editor.parameters, told)
        self.editor = editor
        self._stack, self._around = stack, around
        self._prepared = False
        self._sound = 0
        self._digests = [self.state.digest()]

    def sound(self) -> int:
        """How many edits are kept whole, in a row, each following from the one before."""
        while True:
            try:
                head = self.journal.head(self._sound + 1)
            except ChainError:
                return self._sound
            if head is None or head.before != self._digests[self._sound]:
                return self._sound
            self._sound += 1
            self._digests.append(head.after)

    def ensure(
        self,
        index: int,
        *,
        progress: Callable[[Progress], None] | None = None,
        meanwhile: Callable[[], bool] | None = None,
    ) -> None:
        """Have at least ``index`` edits in the journal.

        One process edits a chain at a time; the others wait and may do something useful.

        Args:
            index: number of edits wanted.
            progress: called after every edit that is made here.
            meanwhile: called while another process edits; says whether it did anything.
        """
        self.journal.open()
        lock = FileLock(self.journal.folder / "edit.lock")
        while self.sound() < index:
            try:
                with lock.acquire(timeout=0):
                    self._extend(index, progress)
            except Timeout:
                if meanwhile is None or not meanwhile():
                    time.sleep(POLL)

    def try_one(
        self, progress: Callable[[Progress], None] | None = None, *, limit: int | None = None
    ) -> bool:
        """Make one more edit, unless another process edits; says whether it was made.

        Args:
            progress: called after the edit.
            limit: no edit beyond this one; another process may just have come so far.
        """
        self.journal.open()
        try:
            with FileLock(self.journal.folder / "edit.lock").acquire(timeout=0):
                done = self.sound()
                if limit is not None and done >= limit:
                    return False
                self._extend(done + 1, progress, goal=limit)
        except Timeout:
            return False
        return True

    def _extend(
        self,
        index: int,
        progress: Callable[[Progress], None] | None,
        goal: int | None = None,
    ) -> None:
        if self.sound() < index and not self._prepared:
            self.go(0)
            with self._around():
                self.editor.prepare()
            self._prepared = True
        while (done := self.sound()) < index:
            requests = self.plan.batch(done + 1)
            if not requests:
                raise ChainError(
                    f"edit {done + 1} was asked for, the facts {self.plan.facts} hold "
                    f"{len(self.plan.requests)}; ask for fewer edits (--edit-counts) or give more "
                    "facts (--edit-facts)"
                )
            self._clear(done + 1)
            self.go(done)
            with self._around():
                update = self.editor.edit(requests)
            self.state.apply(update)
            entry = self.journal.append(done + 1, update, self._digests[done], self.state.digest())
            if progress is not None:
                progress(Progress(done + 1, goal or index, entry.record))

    def _clear(self, index: int) -> None:
        """Remove what stands where the next edit goes: it was found unfit by ``sound``."""
        paths = self.journal.paths(index)
        if not paths and self.journal.last() > index:
            reason = f"{self.journal.folder} lacks edit {index} but keeps later ones; made anew"
            warnings.warn(JournalWarning(f"journal of {self.plan.editor}: {reason}"), stacklevel=4)
        for path in paths:
            try:
                self.journal.entry(index)
                reason = f"{path} does not follow from the edit before it, which was made anew"
            except ChainError as error:
                reason = str(error)
            warnings.warn(JournalWarning(f"journal of {self.plan.editor}: {reason}"), stacklevel=4)
        self.journal.remove(index)

    def go(self, index: int) -> None:
        """Bring the model into state ``index``, which must be in the journal.

        Raises:
            ChainError: it is not, or the weights do not come out as the journal says.
        """
        if index > self.sound():
            raise ChainError(
                f"state {index} of chain {self.plan.digest[:12]} was asked for, {self.sound()} "
                "edits are kept; call ensure first"
            )
        if index < self.state.index:
            self.state.reset()
        if index == self.state.index:
            return
        while self.state.index < index:
            self.state.apply(self.entry(self.state.index + 1).update)
        if self.state.digest() != self._digests[index]:
            self.state.reset()
            raise ChainError(
                f"state {index} of chain {self.plan.digest[:12]} does not come out as "
                f"{self.journal.folder} says; another code touched the model's weights, or the "
                "journal is from another version: remove that folder to edit anew"
            )

    def entry(self, index: int) -> Entry:
        """A kept edit, from 1, read from its file.

        Raises:
            ChainError: none is kept, or its file was damaged since it was found sound.
        """
        try:
            entry = self.journal.entry(index)
            if entry is None:
                raise ChainError(f"{self.journal.folder} keeps no edit {index}")
        except ChainError:
            self._sound = min(self._sound, index - 1)
            del self._digests[self._sound + 1 :]
            raise
        return entry

    def record(self, index: int) -> Mapping[str, Recorded]:
        """What the method said of a kept edit, from 1; no file is read again for it."""
        head = self.journal.head(index)
        return self.entry(index).record if head is None else head.record

    def digest(self, index: int) -> str:
        """Digest of state ``index``, without going there."""
        if index > self.sound():
            raise ChainError(f"chain {self.plan.digest[:12]} has no state {index} yet")
        return self._digests[index]

    def weights(self) -> Mapping[str, Weight]:
        """The edited matrices in the present state."""
        return self.state.weights()
