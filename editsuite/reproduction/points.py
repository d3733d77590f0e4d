"""The states of a preset, run and observed one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from editsuite.cards import ModelCard
from editsuite.chains import Progress
from editsuite.editors import method
from editsuite.errors import OptionError
from editsuite.measures import Observation
from editsuite.measures.capabilities.absence import why_not
from editsuite.measures.capabilities.names import PREFIX
from editsuite.presets import Expansion, PresetRun
from editsuite.presets.grid import Setting
from editsuite.runs import Case, Run, RunSettings
from editsuite.runs.enough import check_enough
from editsuite.runs.measuring import check_measures
from editsuite.runs.opening import cases_of

#: Measures that say nothing of the unedited model.
_OF_EDITS = ("recall.", "locality", "parameters")


@dataclass(frozen=True)
class Point:
    """One observed state.

    Attributes:
        model: name of the card.
        case: method, layers and batch.
        edits: facts in the model.
        paper: the paper's settings of it, by the columns of its tables.
        seen: the observations by name.
    """

    model: str
    case: Case
    edits: int
    paper: Mapping[str, Setting]
    seen: Mapping[str, Observation]


@dataclass
class Reproduction:
    """The runs of a preset on one model, ready to be observed.

    Everything that was edited or seen is kept in the cache, so that a reproduction that was
    interrupted goes on where it stopped.

    Args:
        expansion: the runs.
        unedited: whether the unedited model is asked as well.
        cpus: of the machine; see ``Run``.
        progress: told of every edit.
        left_out: what cannot be run here, and why; filled by `open`.
    """

    expansion: Expansion
    unedited: bool = False
    cpus: int | None = None
    progress: Callable[[Case, Progress], None] | None = None
    left_out: list[str] = field(default_factory=list)
    _opened: list[tuple[PresetRun, list[Case], list[str]]] = field(default_factory=list)

    def open(self) -> int:
        """See what can be run, before any model is loaded.

        Returns:
            The number of states.

        Raises:
            OptionError: a measure that this version does not have, a layer that the model does
                not have, more edits than facts, or nothing can be run.
        """
        for run in self.expansion.runs:
            check_measures(run.measures)
            _check_layers(run, self.expansion.card)
            facts = Run(run.settings).order
            check_enough(max(run.settings.counts), len(facts), run.settings.facts)
            cases, names = self._cases(run), self._names(run)
            if cases and names:
                self._opened.append((run, cases, names))
        if not self._opened:
            raise OptionError(
                f"nothing of {self.expansion.preset.name} can be run on "
                f"{self.expansion.card.name}: {'; '.join(self.left_out)}"
            )
        return sum(len(list(self._states(run, cases))) for run, cases, _ in self._opened)

    def points(self) -> Iterator[Point]:
        """Edit and observe; early states of all chains come first."""
        for run, cases, names in self._opened:
            live = Run(run.settings, self.progress, self.cpus)
            for case, edits, paper in self._states(run, cases):
                asked = names if edits else _unedited(names)
                seen = {o.name: o for o in live.observe(case, edits, asked)} if asked else {}
                yield Point(self.expansion.card.name, case, edits, paper, seen)

    def _cases(self, run: PresetRun) -> list[Case]:
        found = []
        for name in run.methods:
            try:
                found += cases_of(_only(run, name), self.expansion.card, method(name))
            except OptionError as error:
                self._leave(f"{name} is left out: {error}")
        return found

    def _names(self, run: PresetRun) -> list[str]:
        found = []
        for name in run.measures:
            reason = ""
            if name.startswith(PREFIX):
                reason = why_not(name.removeprefix(PREFIX), run.settings.capabilities)
            if reason:
                self._leave(f"{name} is left out: {reason}")
            else:
                found.append(name)
        return found

    def _leave(self, text: str) -> None:
        if text not in self.left_out:
            self.left_out.append(text)

    def _states(
        self, run: PresetRun, cases: Sequence[Case]
    ) -> Iterator[tuple[Case, int, Mapping[str, Setting]]]:
        if self.unedited:
            yield cases[0], 0, {**run.paper, "edits": 0}
        for printed, edits in sorted(run.counts.items(), key=lambda pair: pair[1]):
            for case in cases:
                if edits % case.batch == 0:
                    for layer in _paper_layers(run, case):
                        named = {"method": case.method, "edits": printed, **layer}
                        yield case, edits, {**run.paper, **named}


def _check_layers(run: PresetRun, card: ModelCard) -> None:
    highest = max(run.settings.layers or (0,))
    if highest >= card.n_layers:
        raise OptionError(
            f"--edit-layers names layer {highest}; {card.name} has layers 0 to {card.n_layers - 1}"
        )


def _only(run: PresetRun, name: str) -> RunSettings:
    """The settings for one method; batches are for those that edit in batches."""
    batches = run.settings.batches if method(name).batches else (1,)
    return replace(run.settings, batches=batches)


def _paper_layers(run: PresetRun, case: Case) -> list[dict[str, Setting]]:
    """The paper's layers that a case stands for; one nameless where layers are not varied."""
    named = [paper for paper, here in run.layers.items() if here == case.layers]
    return [{"layer": paper} for paper in named] or [{}]


def _unedited(names: Sequence[str]) -> list[str]:
    return [name for name in names if not name.startswith(_OF_EDITS)]
