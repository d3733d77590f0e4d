"""The judge of what a model writes: the run's own model unedited, or another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from torch import Tensor

from editsuite.cards import ModelCard
from editsuite.engine import DecoderStack
from editsuite.runs.settings import RunSettings, judge_card


class Judge:
    """A model that is not edited while it reads; another than the run's own is loaded when needed.

    Args:
        settings: of the run; they name the judge.
        own: gives the run's own model, which is the judge where none is named.
        load: opens a model.
    """

    def __init__(
        self,
        settings: RunSettings,
        own: Callable[[], DecoderStack],
        load: Callable[[ModelCard], DecoderStack],
    ) -> None:
        self._settings, self._own, self._load = settings, own, load

    @cached_property
    def stack(self) -> DecoderStack:
        """The model; where it is the run's own, in whatever state that is."""
        own = self._own()
        card = judge_card(self._settings)
        return own if card is None or card == own.loaded.card else self._load(card)

    @property
    def is_own(self) -> bool:
        """Whether it is the run's own model, from which edits must be taken before it reads."""
        return self.stack is self._own()

    def parts(self, seen: Any) -> tuple[str, ...]:
        """What the judge's word depends on besides the measure: the judge, and what it reads."""
        read = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
        return (self.stack.loaded.digest, self._settings.dtype, "judge", read)

    def weights(self) -> Iterator[Tensor]:
        """The parameters of a judge that is another model, if it was loaded."""
        if "stack" in vars(self) and not self.is_own:
            yield from self.stack.loaded.model.parameters()
