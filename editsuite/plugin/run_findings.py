"""The paper's findings judged at the end of a run, by what all its checks observed.

One comparison takes several states, of several chains, so no single check can make it. Where the
rows of all workers come together everything is there, and nothing is computed for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from editsuite.cards import ModelCard
from editsuite.errors import BaselineError
from editsuite.measures.observation import Observation
from editsuite.plugin.baseline_file import number
from editsuite.plugin.cases import EditCase
from editsuite.plugin.evidence import with_asked
from editsuite.plugin.place import Place
from editsuite.plugin.session import EditSession
from editsuite.report.findings import ON_A_MODEL, tally
from editsuite.runs import Case, RunSettings
from editsuite.verdicts.findings import Outcome, Reading, Readings, judge_all
from editsuite.verdicts.findings.expected import FILE, contradictions, read_expected
from editsuite.verdicts.findings.observed import read


@dataclass(frozen=True)
class RunFindings:
    """What a run says of the findings.

    Attributes:
        outcomes: by id.
        contradicted: comparisons that came out otherwise than is committed, in words.
    """

    outcomes: Mapping[str, Outcome]
    contradicted: tuple[str, ...]

    @property
    def observed(self) -> dict[str, Outcome]:
        """The findings that the run could make a comparison of."""
        return {name: one for name, one in self.outcomes.items() if one.parts}

    def lines(self, *, numbers: bool) -> list[str]:
        """What became of the observed findings, and what is amiss, for a terminal.

        Args:
            numbers: whether each comparison is told.
        """
        if not self.observed and not self.contradicted:
            return []
        lines = [f"findings of the paper: {tally(self.outcomes)}"]
        for name, outcome in self.observed.items():
            lines.append(f"  {ON_A_MODEL[outcome.verdict]}: {name}")
            if numbers:
                lines += [f"    {p.name}: {p.verdict}; {p.words}" for p in outcome.parts]
        lines += [f"contradicted: {line}" for line in self.contradicted]
        if self.contradicted:
            lines.append("if this is meant: update the baselines, then editsuite findings --accept")
        return lines


def judge_run(session: EditSession) -> RunFindings:
    """Judge the findings by a session's rows.

    What is expected is committed for the usual run only: built-in facts and probes, seed 0,
    float32, the card's hyperparameters.

    A damaged file of what is expected contradicts everything, and says so.
    """
    settings, card = session.settings, session.run.card
    readings = readings_of(session.collected.rows, session.cases, settings, card)
    outcomes = judge_all(readings, card.name)
    file = session.baselines.folder / card.name / FILE
    compared = (
        settings.usual and not settings.hyperparameters and settings.capabilities.data is None
    )
    if not compared or not file.exists():
        return RunFindings(outcomes, ())
    try:
        return RunFindings(outcomes, contradictions(read_expected(file), outcomes))
    except BaselineError as error:
        return RunFindings(outcomes, (str(error),))


def readings_of(
    rows: Iterable[Mapping[str, Any]],
    cases: Iterable[EditCase],
    settings: RunSettings,
    card: ModelCard,
) -> Readings:
    """A run's rows as readings."""
    chains = {(one.case.name, one.case.layers): one.case for one in cases}
    found: list[Reading] = []
    for row in rows:
        case = chains.get((row["method"], tuple(row["layer"])))
        if case is not None and row["value"] is not None:  # absent: there was nothing to measure
            fields = ("value", "low", "high")
            value, low, high = (number(row[name]) for name in fields)
            one = Observation(row["name"], value, row["n"], row["unit"], low, high, row["interval"])
            place = place_of(case, settings, card).settings(row["edits"])
            several: Iterable[Reading] = read([one], place, card.n_layers, "this run")
            if settings.capabilities.data is not None:
                several = map(with_asked, several)
            found += several
    return Readings.of_all(found)


def place_of(case: Case, settings: RunSettings, card: ModelCard) -> Place:
    """The settings of a chain of this run."""
    sample = str(settings.seed)
    return Place(
        card,
        case.method,
        case.layers,
        case.batch,
        settings.hyperparameters_of(case.method),
        settings.capabilities.temperature,
        sample if settings.facts == "builtin" else f"{settings.facts} {sample}",
        settings.usual,
    )
