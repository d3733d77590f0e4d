"""The pytest plugin: options, markers, cases, fixtures, and the end of a run.

Only hooks stand here. Nothing that imports torch is imported before ``pytest_configure`` has
given this process its GPU.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from editsuite.editors.easyedit.recipes import RECIPES
from editsuite.editors.names import METHOD_HELP, NEED_FILES
from editsuite.errors import EditsuiteError
from editsuite.plugin import options
from editsuite.plugin.checks import check_methods, check_overrides, check_settings
from editsuite.plugin.rootdir import check_rootdir
from editsuite.plugin.workers import take_share
from editsuite.runs.settings import TIERS

if TYPE_CHECKING:
    from editsuite.plugin.cases import EditCase
    from editsuite.plugin.session import EditSession

SESSION: pytest.StashKey[EditSession] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register ``--edit-*`` and the ini keys ``edit_*``."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers, take this process's share of the machine, check the options."""
    for name, text in METHOD_HELP.items():
        config.addinivalue_line("markers", f"{name}: checks of {text}")
    for name, recipe in RECIPES.items():
        if name not in METHOD_HELP:
            config.addinivalue_line("markers", f"{name}: checks of EasyEdit's {recipe.help}")
    config.addinivalue_line("markers", "easyedit: checks of methods that EasyEdit's code runs")
    for tier, counts in TIERS.items():
        shown = ", ".join(map(str, counts))
        config.addinivalue_line("markers", f"{tier}: checks after {shown} edits")
    config.addinivalue_line("markers", "capability: checks of what the model can still do")
    config.addinivalue_line(
        "markers", "edit_measures(name, ...): the measures that an editing check looks at"
    )
    share = take_share(config, os.environ)
    from editsuite.plugin.session import EditSession

    session = EditSession.start(config, share)
    config.stash[SESSION] = session
    if not hasattr(config, "workerinput"):
        from editsuite.plugin.reporter import Reporter

        config.pluginmanager.register(Reporter(session), "editsuite-reporter")
    try:
        check_rootdir(config)
        settings = session.settings
        check_overrides(settings, session.methods)
        check_methods(session.methods)
        if options.given(config) and not hasattr(config, "workerinput"):
            check_settings(settings)
            # Asking the methods imports torch: only where it matters.
            if settings.batches != (1,) or NEED_FILES.intersection(session.methods):
                _ = session.cases
    except EditsuiteError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what a preset does otherwise than the paper."""
    from editsuite.plugin.preset import header

    found = config.stash[SESSION].expansion
    return header(found) if found else []


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what workers told of their progress."""
    session = config.stash.get(SESSION, None)
    if session is not None and not hasattr(config, "workerinput"):
        shutil.rmtree(session.folder, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker of this run."""
    node.workerinput["editsuite"] = node.config.stash[SESSION].told


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what an xdist worker collected; the controller itself collects nothing."""
    told = getattr(node, "workeroutput", {}).get("editsuite", [])
    node.config.stash[SESSION].checks.update(told)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Multiply a check by the states of the run."""
    from editsuite.plugin.cases import FIXTURE, parameter

    if FIXTURE in metafunc.fixturenames:
        try:
            found = metafunc.config.stash[SESSION].cases
        except EditsuiteError as error:
            raise pytest.UsageError(str(error)) from error
        metafunc.parametrize(FIXTURE, [parameter(case) for case in found])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Early states first; and note what checks there are, before any is deselected."""
    from editsuite.plugin.cases import checks_of, in_order

    items[:] = in_order(items)
    mine = config.stash[SESSION]
    checks = mine.checks
    checks.update(checks_of(items))
    if mine.preset is not None:
        from editsuite.plugin.preset import split_checks

        items[:], others = split_checks(mine.preset, items)
        config.hook.pytest_deselected(items=others)
    if hasattr(config, "workeroutput"):
        config.workeroutput["editsuite"] = sorted(checks)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what the selected checks will ask for, so that waiting workers can help."""
    from editsuite.plugin.cases import agenda
    from editsuite.plugin.left_out import leave_out

    mine = session.config.stash[SESSION]
    try:
        leave_out(session.items, mine.settings.capabilities)
    except EditsuiteError as error:
        raise pytest.UsageError(str(error)) from error
    wanted = agenda(session.items)
    if wanted and not session.config.option.collectonly:
        mine.run.agenda = wanted


@pytest.fixture
def observed(request: pytest.FixtureRequest, edit_case: EditCase) -> Callable[[str], Any]:
    """Observe the case's state: ``observed("reliability")`` gives what a baseline compares.

    The measures that are looked at are those of the check's ``edit_measures`` marker. Every
    observation is also carried to the report.
    """
    from editsuite.plugin.cases import measures_of
    from editsuite.plugin.noted import noted

    session = request.config.stash[SESSION]

    def observe(prefix: str) -> dict[str, Any]:
        try:
            found = session.observe(edit_case, measures_of(request.node), prefix)
            return noted(session, request.node, edit_case, found)
        except EditsuiteError as error:
            pytest.fail(str(error), pytrace=False)

    return observe


@pytest.fixture
def findings(request: pytest.FixtureRequest, edit_case: EditCase) -> Callable[[], Any]:
    """The paper's Table 1 held against the case's state: ``assert findings() == baseline``.

    Of each claim 1 says that it holds here, 0 that it does not, 0.5 that it cannot be told. The
    check is about change: a claim that does not hold on a model is an observation.
    """
    from editsuite.plugin.noted import noted

    session = request.config.stash[SESSION]

    def judge() -> dict[str, Any]:
        try:
            found = session.findings(edit_case)
            if not found:
                pytest.skip(f"the paper's Table 1 has no row for {edit_case}")
            return noted(session, request.node, edit_case, found)
        except EditsuiteError as error:
            pytest.fail(str(error), pytrace=False)

    return judge


@pytest.fixture
def baseline(request: pytest.FixtureRequest, edit_case: EditCase, snapshot: Any) -> Any:
    """The case's committed numbers: ``assert observed("reliability") == baseline``.

    Where the plan has no baselines and none are asked for (foreign facts, another seed), every
    finite number is equal to it: the run observes, and its table says so.
    """
    from editsuite.plugin.baselines import BaselineExtension, Observing, snapshot_index
    from editsuite.plugin.cases import measures_of

    places = request.config.stash[SESSION].baselines
    measures = measures_of(request.node)
    file = places.file(edit_case, measures)
    if not places.wanted(edit_case, measures) and not request.config.option.update_snapshots:
        return Observing(file)
    return snapshot.use_extension(BaselineExtension)(name=snapshot_index(file))
