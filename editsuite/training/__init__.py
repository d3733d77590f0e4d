"""Training of what a method needs before it can edit: MEND's hypernetwork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from editsuite.late import late

if TYPE_CHECKING:
    from editsuite.training.checkpoint import Evaluation
    from editsuite.training.lessons import Lessons, choose_lessons
    from editsuite.training.passages import Passages, PlainText, passages_of, read_text
    from editsuite.training.recipe import Recipe
    from editsuite.training.trained import Trained, notes_of
    from editsuite.training.trainer import Trainer

__all__ = [
    "Evaluation",
    "Lessons",
    "Passages",
    "PlainText",
    "Recipe",
    "Trained",
    "Trainer",
    "choose_lessons",
    "notes_of",
    "passages_of",
    "read_text",
]

__getattr__ = late(
    __name__,
    {
        "Lessons": "editsuite.training.lessons",
        "choose_lessons": "editsuite.training.lessons",
        "Passages": "editsuite.training.passages",
        "PlainText": "editsuite.training.passages",
        "passages_of": "editsuite.training.passages",
        "read_text": "editsuite.training.passages",
        "Recipe": "editsuite.training.recipe",
        "Evaluation": "editsuite.training.checkpoint",
        "Trained": "editsuite.training.trained",
        "notes_of": "editsuite.training.trained",
        "Trainer": "editsuite.training.trainer",
    },
)
