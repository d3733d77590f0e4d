"""How one of EasyEdit's methods is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

#: Before a method's name, so that its chains, baselines and reports are nobody else's.
PREFIX = "easyedit-"


@dataclass(frozen=True)
class Recipe:
    """How one of EasyEdit's methods is run.

    Attributes:
        name: the marker, equal to that of the suite's own method where there is one.
        help: for people.
        package: folder below ``models``.
        main: module that edits.
        execute: its function, which returns the changes and leaves the model as it was.
        settings: name of its hyperparameter class.
        folder: folder of its hyperparameter files.
        card_key: under which name a card keeps layers and hyperparameters for it.
        spans: whether one edit changes all the layers that are named.
        batches: whether one edit takes several facts.
        templated: whether a prompt has ``{}`` for its subject.
        weights: whether ``rewrite_module_tmp`` names weights, not modules.
        spaced: whether the target must bring its own space.
        contexts: how it keeps context templates: one list, a list of lists, or not at all.
        covariance: whether it uses one; ``asked`` where ``mom2_adjustment`` says so.
        remembers: whether it keeps more than the weights from one edit to the next.
        own_paths: module paths that are to be taken from its hyperparameter file.
        defaults: hyperparameters where its own files do not say otherwise.
        fixed: hyperparameters that the bridge sets before the card and the user.
    """

    name: str
    help: str
    package: str
    main: str
    execute: str
    settings: str
    folder: str
    card_key: str
    spans: bool
    batches: bool
    templated: bool = True
    weights: bool = False
    spaced: bool = False
    contexts: Literal["flat", "nested", "none"] = "nested"
    covariance: Literal["always", "asked", "never"] = "always"
    remembers: bool = False
    own_paths: tuple[str, ...] = ()
    defaults: Mapping[str, object] = field(default_factory=dict)
    fixed: Mapping[str, object] = field(default_factory=dict)

    def place(self, root: Path) -> Path:
        """The module that edits, below the package's folder."""
        return root / "models" / self.package / f"{self.main}.py"
