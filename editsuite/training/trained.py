"""A finished training, and what its file says of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from editsuite.editors.hypernetwork import Hypernetwork
from editsuite.editors.hypernetwork_file import HypernetworkFile
from editsuite.training.checkpoint import Evaluation, least
from editsuite.training.lessons import Lessons
from editsuite.training.recipe import Recipe


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        net: the network at its best evaluation.
        curve: all evaluations.
    """

    net: Hypernetwork
    curve: tuple[Evaluation, ...]

    @property
    def best(self) -> Evaluation:
        """The evaluation that ``net`` is from."""
        return least(self.curve)


def notes_of(
    trained: Trained, lessons: Lessons, recipe: Recipe, start: HypernetworkFile | None = None
) -> dict[str, object]:
    """What a hypernetwork's file says of its training, as JSON values.

    A network that started from another carries the other's notes along.
    """
    before = {} if start is None else {"start": {"sha256": start.digest, "notes": start.notes}}
    return {
        **before,
        "recipe": {**asdict(recipe), "layers": list(recipe.layers)},
        "facts": lessons.description,
        "best_step": trained.best.step,
        "curve": [asdict(evaluation) for evaluation in trained.curve],
    }
