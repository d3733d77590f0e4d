"""What a measure is: a function of a model in a state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest
from editsuite.measures.observation import Observation

#: A change as a weight stores it: ``left @ right.T``, of ``[m, r]`` and ``[n, r]``.
Factors = tuple[Tensor, Tensor]


class Weight(Protocol):
    """An edited matrix and what it was."""

    @property
    def original(self) -> Tensor: ...
    @property
    def current(self) -> Tensor: ...
    @property
    def factors(self) -> Sequence[Factors] | None:
        """One pair for each edit, in order: ``current`` is the rounded sum of ``original`` and
        their products. None where the edits are not products of few columns."""
        ...


@dataclass(frozen=True)
class View:
    """A model in a state, as a measure sees it.

    Attributes:
        stack: the model.
        requests: the facts that the measure is to ask about, in the order of editing.
        weights: by parameter name, the edited matrices.
    """

    stack: DecoderStack
    requests: Sequence[EditRequest]
    weights: Mapping[str, Weight]


@dataclass(frozen=True)
class Look:
    """One look at one state.

    Attributes:
        state: number of edits in the model (0: unedited).
        first: the first fact to ask about, from 1; 0 where no facts are needed.
        last: the last fact to ask about.
        judged: the judge looks, an unedited model, at what the same look without this saw.
    """

    state: int
    first: int = 0
    last: int = 0
    judged: bool = False

    @property
    def written(self) -> Look:
        """The look whose result the judge looks at."""
        return replace(self, judged=False)


class Measure(Protocol):
    """A measure: which states it looks at, what it sees there, what it concludes.

    A look depends on the state and the facts asked about, and on nothing else: neither on what
    was looked at before nor on how far the chain goes. So looks can be taken in any order, by
    any process, and kept.
    """

    @property
    def name(self) -> str:
        """Name of the measure."""
        ...

    @property
    def identity(self) -> str:
        """Digest of the items and settings that a look depends on."""
        ...

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """The looks needed to observe the model after ``edits`` edits, made ``batch`` at a time."""
        ...

    def look(self, view: View) -> Any:
        """See the model in one state; gives JSON values."""
        ...

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """Conclude from what was seen."""
        ...


class Judged(Measure, Protocol):
    """A measure of what a model writes: another model says what that is worth.

    What the judge says depends on the judge and on what the look saw, and on nothing else: two
    states that write the same are judged once.
    """

    def judge(self, stack: DecoderStack, seen: Any) -> Any:
        """What an unedited model says of what `look` gave; gives JSON values."""
        ...
