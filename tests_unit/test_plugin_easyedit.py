"""EasyEdit's code behind the plugin: the option, the marker, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks_ import Checks, make_checks
from easyedit_ import make_tree

from editsuite.plugin.cases import wanted_methods

COLLECT = ("--collect-only", "-q")


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> Checks:
    made = make_checks(pytester, tmp_path_factory, monkeypatch)
    monkeypatch.setenv("EASYEDIT_HOME", str(make_tree(pytester.path / "tree")))
    return made


def ids(result: pytest.RunResult) -> set[str]:
    return {line.partition("[")[2][:-1] for line in result.outlines if line.endswith("]")}


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (("-m", "easyedit and rome"), {"easyedit-rome-L1-n1"}),
        (("-m", "rome", "--edit-backend=easyedit"), {"easyedit-rome-L1-n1"}),
        (("-m", "rome"), {"rome-L1-n1"}),
        (("-m", "rome and not easyedit"), {"rome-L1-n1"}),
    ],
)
def test_option_and_marker_select_easyedits_methods(
    checks: Checks, args: tuple[str, ...], wanted: set[str]
) -> None:
    found = checks.inside(*COLLECT, "--edit-methods=", "--edit-counts=1", *args)
    assert ids(found) == wanted


@pytest.mark.parametrize(
    ("expression", "chosen", "backend", "methods"),
    [
        ("easyedit", "", "native", ("easyedit-rome",)),
        ("", "emmet,rome", "easyedit", ("easyedit-emmet", "easyedit-rome")),
        ("easyedit and (rome or memit)", "", "native", ("easyedit-rome", "easyedit-memit")),
        ("not easyedit", "", "native", ("rome",)),
    ],
)
def test_the_backend_names_the_methods(
    expression: str, chosen: str, backend: str, methods: tuple[str, ...]
) -> None:
    assert wanted_methods(expression, chosen, backend) == methods


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--edit-backend=easyedit", "--edit-methods=memits"), "*does not carry 'memits'*rome*"),
        (("-m", "easyedit and grace", "--edit-methods="), "*does not carry 'grace'*no parameter*"),
        (("--edit-backend=easyedit", "--edit-methods=memit"), "*has no memit (models/memit)*"),
        (("--edit-backend=esyedit",), "*--edit-backend is 'esyedit'*easyedit, native*"),
    ],
)
def test_what_easyedit_cannot_run_stops_the_run_at_once(
    checks: Checks, args: tuple[str, ...], words: str
) -> None:
    result = checks.inside(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([words])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_without_easyedit_the_mend_is_named(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYEDIT_HOME", str(checks.folder / "nowhere"))
    result = checks.inside("-m", "easyedit and rome", "--edit-methods=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*EASYEDIT_HOME is *nowhere*--no-deps easyeditor==0.0.1.dev0*"])
    assert checks.inside(*COLLECT).ret == 0  # nobody asked for it


def test_a_run_goes_through_chain_measures_and_report_and_only_observes(checks: Checks) -> None:
    args = ("--edit-backend=easyedit", "--edit-methods=rome", "--edit-missing-baseline=auto")
    given = ("--edit-facts=facts.jsonl", "--edit-counts=1")
    result = checks.inside(*args, *given)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["easyedit-rome on *only observed*"])
    assert (checks.folder / "reports/easyedit-rome/observations.json").is_file()
    assert not (checks.folder / "baselines").exists()


def test_markers_are_listed(checks: Checks) -> None:
    listed = checks.inside("--markers")
    for name in ("easyedit", "emmet", "pmet"):
        listed.stdout.fnmatch_lines([f"@pytest.mark.{name}:*"])


def test_the_made_up_tree_is_one(tmp_path: Path) -> None:
    """Its packages must not be imported, or the tests here would show less than they say."""
    text = (make_tree(tmp_path) / "easyeditor/models/__init__.py").read_text(encoding="utf-8")
    assert "raise ImportError" in text
