"""What an editing method is: something that turns requests into an update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from editsuite.editors.update import Change, Dense, Factors, LowRank, Recorded, Update

if TYPE_CHECKING:
    from editsuite.cards import ModelCard
    from editsuite.engine import DecoderStack
    from editsuite.facts import EditRequest

__all__ = [
    "BoundEditor",
    "BringsState",
    "Change",
    "ChecksEarly",
    "Dense",
    "Factors",
    "LowRank",
    "Method",
    "Recorded",
    "Remembers",
    "State",
    "Update",
    "Weight",
]


class Weight(Protocol):
    """An edited matrix and what it was."""

    @property
    def original(self) -> Tensor: ...
    @property
    def current(self) -> Tensor: ...
    @property
    def factors(self) -> Sequence[Factors] | None:
        """One pair for each edit, in order; None where edits are not products of few columns."""
        ...


class State(Protocol):
    """A model that can be walked through the states of one chain.

    A state is the same bits whichever way it was reached, and state 0 is the unedited model.
    """

    @property
    def index(self) -> int:
        """Number of updates in the model."""
        ...

    def apply(self, update: Update) -> None:
        """Put on one more update; if that fails half-way, all are taken off."""
        ...

    def reset(self) -> None:
        """Take all updates off: the model is bit for bit the unedited one."""
        ...

    def weights(self) -> Mapping[str, Weight]:
        """The matrices that the method may change, beside the originals."""
        ...

    def digest(self) -> str:
        """Hex sha256 over all that the updates changed."""
        ...


@runtime_checkable
class BringsState(Protocol):
    """A bound editor whose edits are not changes of weights (a codebook, an adapter)."""

    def open_state(self) -> State:
        """The unedited model as a state of this editor's own kind."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A bound editor whose next edit depends on earlier ones by more than the weights.

    A state tells it of every update that is put on, in order, and of their being taken off. What
    it needs of an update beside the changes lies in ``Update.tensors``, and so in the journal.
    """

    def remember(self, update: Update) -> None:
        """An update was put on."""
        ...

    def forget(self) -> None:
        """All updates were taken off."""
        ...


class BoundEditor(Protocol):
    """A method bound to one unedited model, its layers, seed and hyperparameters."""

    @property
    def inputs(self) -> Mapping[str, object]:
        """Everything besides facts and weights that determines the updates; it goes into the
        plan and so into the chain's identity. JSON values only."""
        ...

    @property
    def parameters(self) -> tuple[str, ...]:
        """Full names of the weights that the method may change."""
        ...

    def prepare(self) -> None:
        """Compute what is read off the unedited model; called once, in state 0, before the
        first edit of a chain, and only when something is to be edited."""
        ...

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """Compute the update for ``requests`` on the model as it stands now.

        Raises:
            EditError: the update cannot be computed (no subject, a loss that is not finite).
        """
        ...


class Method(Protocol):
    """A registered editing method."""

    @property
    def name(self) -> str:
        """The marker and the folder name: ``rome``."""
        ...

    @property
    def card_key(self) -> str:
        """Under which name a card keeps the method's layers and hyperparameters."""
        ...

    @property
    def spans(self) -> bool:
        """Whether one chain edits all the layers that are named; else each is a chain."""
        ...

    @property
    def batches(self) -> bool:
        """Whether one update can hold several requests."""
        ...

    @property
    def version(self) -> int:
        """Raised whenever the same plan would give another update."""
        ...

    def bind(
        self,
        stack: DecoderStack,
        *,
        layers: Sequence[int],
        seed: int,
        hyperparameters: Mapping[str, object],
        cache: Path,
    ) -> BoundEditor:
        """Bind the method to a model that is in state 0.

        Args:
            stack: the unedited model.
            layers: where to edit.
            seed: seed of everything the method draws.
            hyperparameters: overrides of the method's defaults, by name.
            cache: folder for statistics of the unedited model.

        Raises:
            OptionError: an unknown or impossible hyperparameter.
        """
        ...


@runtime_checkable
class ChecksEarly(Protocol):
    """A method that needs more than a model, and knows before one is loaded what is missing."""

    def check(
        self, card: ModelCard, layers: Sequence[int], hyperparameters: Mapping[str, object]
    ) -> None:
        """Refuse what ``bind`` would refuse, as far as the card alone shows it.

        Args:
            card: of the model.
            layers: where to edit.
            hyperparameters: as ``Method.bind`` is given them.

        Raises:
            OptionError: a file that is missing, damaged or for something else.
        """
        ...
