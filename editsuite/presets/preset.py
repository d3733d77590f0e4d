"""What a preset is: a table or figure of the paper, and what it was run with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from editsuite.errors import OptionError

#: Edited layers of one chain; empty for the card's own.
Place = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A grid: everything in it is run with everything else.

    Attributes:
        models: names of cards.
        methods: editing methods.
        counts: numbers of edits to look at, ascending.
        measures: names of the measures that are looked at.
        places: edited layers, as the paper counts them, one chain each; one empty place for the
            layers that the card names.
        spans: whether a place is a run of layers that one chain edits together.
        batches: facts of one edit.
        temperatures: at which answers are drawn.
        seeds: samples of facts, as ``--edit-seed`` takes them.
        sets: hyperparameters, by ``METHOD.NAME``; one run each.
    """

    models: tuple[str, ...]
    methods: tuple[str, ...]
    counts: tuple[int, ...]
    measures: tuple[str, ...]
    places: tuple[Place, ...] = ((),)
    spans: bool = False
    batches: tuple[int, ...] = (1,)
    temperatures: tuple[float, ...] = (0.0,)
    seeds: tuple[str, ...] = ("0",)
    sets: tuple[Mapping[str, object], ...] = field(default_factory=lambda: ({},))


@dataclass(frozen=True)
class Preset:
    """A table or a figure of the paper.

    Attributes:
        name: ``table-4``, ``figure-6``.
        title: what it shows.
        source: section, and table or figure.
        models: the paper's, by the names of their cards; the layers belong to the first one.
        parts: what was run; none where the table only describes.
        describes: what a table without runs describes, and where this project tells it.
        untold: what the paper does not tell, and what is taken instead.
        facts: what was taught.
    """

    name: str
    title: str
    source: str
    models: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    describes: str = ""
    untold: str = ""
    facts: str = "zsre"

    @property
    def table(self) -> int | None:
        """The number of the paper's table, None for a figure."""
        kind, _, number = self.name.partition("-")
        return int(number) if kind == "table" else None

    @property
    def measures(self) -> tuple[str, ...]:
        """All that it looks at, each once."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.measures))

    def check_runs(self) -> None:
        """See that there is something to run.

        Raises:
            OptionError: the table only describes.
        """
        if not self.parts:
            number = self.name.partition("-")[2]
            raise OptionError(
                f"{self.name} has no runs: the paper's Table {number} describes {self.describes}"
            )
