"""The gate without pytest: what the checks ask, and whether a state would pass them.

Which checks there are is read from their own files, so that a new one takes part in every study;
how they hold numbers against a baseline is the plugin's and the verdicts' own code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import ROOT
from editsuite.errors import BaselineError, OptionError, listing
from editsuite.measures import Observation
from editsuite.plugin.baseline_file import expected_of, read_file
from editsuite.plugin.cases import MEASURES_MARK
from editsuite.runs import Case, Run
from editsuite.verdicts import Comparison, compare

#: Packages whose code decides what is seen; a record of other code is not gone on with.
SEEN_BY = ("editsuite.engine", "editsuite.measures", "editsuite.facts/targets.py")
FOLDERS = ("tests_editing", "tests_analysis", "tests_capabilities")


@dataclass(frozen=True)
class Check:
    """A check as its file states it.

    Attributes:
        name: ``reliability``, of ``test_reliability``.
        measures: that it looks at.
        prefix: of the observations that it holds against the baseline.
        folder: where it lies.
    """

    name: str
    measures: tuple[str, ...]
    prefix: str
    folder: str

    def group(self, case: str, edits: int) -> str:
        """The name of its group in a baseline file."""
        return f"test_{self.name}[{case}-n{edits}]"


def checks(root: Path = ROOT) -> Mapping[str, Check]:
    """All checks that hold observations against a baseline, by name."""
    found: dict[str, Check] = {}
    for folder in FOLDERS:
        for file in sorted((root / folder).glob("test_*.py")):
            found |= {check.name: check for check in checks_in(file.read_text(), folder)}
    return found


def checks_in(text: str, folder: str) -> Iterator[Check]:
    """The checks of a file that ask ``observed`` for one prefix."""
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        marks = [
            tuple(ast.literal_eval(argument) for argument in mark.args)
            for mark in node.decorator_list
            if isinstance(mark, ast.Call) and getattr(mark.func, "attr", "") == MEASURES_MARK
        ]
        asked = [
            ast.literal_eval(call.args[0])
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "observed"
        ]
        if len(marks) == len(asked) == 1:
            yield Check(node.name.removeprefix("test_"), marks[0], asked[0], folder)


def chosen_checks(words: str, *, capabilities: bool, root: Path = ROOT) -> list[Check]:
    """Checks by name, separated by commas; without a name all, or all but capabilities.

    Raises:
        OptionError: there is none of a name.
    """
    known = checks(root)
    names = [word.strip() for word in words.split(",") if word.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise OptionError(
            f"there is no check {listing(map(repr, unknown))}; known are {listing(known)}"
        )
    if names:
        return [known[name] for name in names]
    return [c for c in known.values() if capabilities or c.folder != "tests_capabilities"]


#: What each check sees of a state: by check, by observation.
Observed = Mapping[str, Mapping[str, Observation]]


def observe(run: Run, case: Case, edits: int, checks: Sequence[Check]) -> Observed:
    """What each check sees of a state; a measure that several look at is asked once."""
    measures = dict.fromkeys(name for check in checks for name in check.measures)
    by_measure = {name: run.observe(case, edits, [name]) for name in measures}
    return {
        check.name: {
            o.name: o
            for name in check.measures
            for o in by_measure[name]
            if o.name.startswith(check.prefix)
        }
        for check in checks
    }


def values(observed: Observed) -> dict[str, float]:
    """All that the checks see, as numbers by name."""
    return {name: o.value for own in observed.values() for name, o in own.items()}


@dataclass(frozen=True)
class Baseline:
    """The baselines of one chain.

    Attributes:
        file: where they lie.
        case: the chain as its groups name it: ``rome-L5``.
    """

    file: Path
    case: str

    def only(self, checks: Sequence[Check], edits: int) -> list[Check]:
        """The checks that have baselines after so many edits.

        Raises:
            OptionError: none has, so that nothing could fail.
        """
        groups = read_file(self.file)
        held = [check for check in checks if check.group(self.case, edits) in groups]
        if not held:
            raise OptionError(
                f"{self.file} holds nothing of {self.case} after {edits} edits for these checks; "
                "ask for other checks, or for counts that have baselines (--counts)"
            )
        return held

    def held(self, check: Check, edits: int, observed: Observed) -> tuple[Comparison, ...]:
        """Every number of the check beside its baseline, as ``pytest`` compares them.

        Raises:
            BaselineError: the file has no such group, so that nothing could fail.
        """
        groups, name = read_file(self.file), check.group(self.case, edits)
        if name not in groups:
            raise BaselineError(
                f"{self.file} has no group {name}; write it with --snapshot-update, or ask for "
                "other checks or counts"
            )
        own = {name: o.value for name, o in observed[check.name].items()}
        return compare(own, expected_of(groups[name], self.file))


def whole_numbers(text: str) -> list[int]:
    """Read ``1,2``.

    Raises:
        OptionError: it is no such list.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise OptionError(f"{text!r} is no list of whole numbers above 0, such as 1,2")
    return [int(word) for word in words]


def baseline_of(folder: Path, card: str, base: str, case: Case) -> Baseline:
    """Where the baselines of a method's chain lie, for a chain that is like it."""
    honest = Case(base, case.layers, case.batch)
    return Baseline(folder / card / base / f"{honest.stem}.json", str(honest))
