"""Which methods, layers and counts a run checks: one test case for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from editsuite.cards import ModelCard
from editsuite.editors.easyedit.recipe import PREFIX
from editsuite.editors.easyedit.recipes import RECIPES, REFUSED, recipe_of
from editsuite.editors.names import METHOD_HELP
from editsuite.errors import OptionError, listing
from editsuite.runs import TIERS, Case, RunSettings, Wanted

#: Name of the fixture that a check is multiplied by.
FIXTURE = "edit_case"
#: Whose code edits.
NATIVE, EASYEDIT = BACKENDS = ("native", "easyedit")
#: Marker by which a check says what it looks at.
MEASURES_MARK = "edit_measures"


@dataclass(frozen=True)
class EditCase:
    """A state to check: one chain after a number of edits."""

    case: Case
    edits: int

    def __str__(self) -> str:
        return f"{self.case}-n{self.edits}"


def wanted_methods(markexpr: str, chosen: str, backend: str = NATIVE) -> tuple[str, ...]:
    """The methods to check: those chosen, else those that ``-m`` asks for, else rome.

    Args:
        markexpr: pytest's ``-m``.
        chosen: ``--edit-methods``.
        backend: ``--edit-backend``.

    Raises:
        OptionError: a chosen method or the backend is unknown, or the backend has no such method.
    """
    if backend not in BACKENDS:
        raise OptionError(f"--edit-backend is {backend!r}; it can be {listing(BACKENDS)}")
    named = {name for no, name in re.findall(r"(\bnot\s+)?(\w+)", markexpr) if not no}
    given = tuple(dict.fromkeys(name.strip() for name in chosen.split(","))) if chosen else ()
    if EASYEDIT in (backend, *named):
        refused = tuple(name for name in REFUSED if name in named)
        asked = given or (*(name for name in RECIPES if name in named), *refused) or ("rome",)
        return tuple(PREFIX + recipe_of(name).name for name in asked)
    unknown = set(given) - {*METHOD_HELP}
    if unknown:
        raise OptionError(
            f"--edit-methods names {listing(map(repr, unknown))}; known are {listing(METHOD_HELP)}"
        )
    return given or tuple(name for name in METHOD_HELP if name in named) or ("rome",)


def method_marks(method: str) -> tuple[str, ...]:
    """The markers of a method's checks: its name, after the backend's where it is not our own."""
    bare = method.removeprefix(PREFIX)
    return (bare,) if bare == method else (EASYEDIT, bare)


def cases(settings: RunSettings, card: ModelCard, names: Sequence[str]) -> list[EditCase]:
    """All states of a run: counts outermost, so that every chain's first states come first.

    A chain that edits in batches passes the counts that are whole batches; others are left out.
    """
    from editsuite.editors import method  # imports torch
    from editsuite.runs.opening import cases_of

    chains = [case for name in names for case in cases_of(settings, card, method(name))]
    found = [
        EditCase(case, edits)
        for edits in settings.counts
        for case in chains
        if edits % case.batch == 0
    ]
    left_out = {case.batch for case in chains} - {case.case.batch for case in found}
    if left_out:
        raise OptionError(
            f"--edit-batch-size {max(left_out)} divides none of the counts "
            f"{listing(map(str, settings.counts))}; give counts that are whole batches "
            "(--edit-counts)"
        )
    return found


def parameter(case: EditCase) -> pytest.ParameterSet:
    """A case as a test parameter, marked with its method and its tiers."""
    tiers = [tier for tier, counts in TIERS.items() if case.edits in counts]
    marks = [getattr(pytest.mark, name) for name in (*method_marks(case.case.method), *tiers)]
    return pytest.param(case, id=str(case), marks=marks)


def case_of(item: pytest.Item) -> EditCase | None:
    """The case of a test; None for a test that has none."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get(FIXTURE) if callspec is not None else None
    return found if isinstance(found, EditCase) else None


def measures_of(item: pytest.Item) -> tuple[str, ...]:
    """The measures that a check says it looks at."""
    return tuple(name for mark in item.iter_markers(MEASURES_MARK) for name in mark.args)


def agenda(items: Iterable[pytest.Item]) -> list[Wanted]:
    """What the selected checks will ask for, in their order."""
    wanted = []
    for item in items:
        case = case_of(item)
        if case is not None and item.get_closest_marker("skip") is None:
            wanted += [Wanted(case.case, case.edits, name) for name in measures_of(item)]
    return wanted


def group_of(nodeid: str) -> str:
    """The group of a test in a baseline file: its name, after that of its class if it has one."""
    return ".".join(nodeid.split("::")[1:])


def checks_of(items: Iterable[pytest.Item]) -> set[str]:
    """The editing checks among tests: their groups' names without the case."""
    return {group_of(i.nodeid).partition("[")[0] for i in items if case_of(i) is not None}


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Checks by count, so that a worker measures early states while another edits on."""

    def place(item: pytest.Item) -> int:
        case = case_of(item)
        return 0 if case is None else case.edits

    return sorted(items, key=place)
