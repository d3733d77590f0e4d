"""``--edit-preset``: one run of pytest, with what the paper ran."""

from __future__ import annotations

import pytest
from checks_ import Checks, make_checks


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> Checks:
    return make_checks(pytester, tmp_path_factory, monkeypatch)


def collected(checks: Checks, *args: str) -> set[str]:
    """Names and cases of the tests that a run would take."""
    options = [f"--edit-model={checks.model}", "--edit-facts=builtin"]
    options += [f"--edit-cache={checks.cache}", "--collect-only", "-q"]
    result = checks.pytester.runpytest_inprocess(*options, *args)
    assert result.ret == 0, result.outlines
    return {line.partition("::")[2] for line in result.outlines if "::" in line}


def test_a_preset_chooses_methods_layers_counts_and_checks(checks: Checks) -> None:
    """Layer 5 of 32 is layer 0 of 4 (15 / 31, rounded), and Table 8 looks at parameters only."""
    counts = (1, 10, 20, 50, 75, 100)
    found = collected(checks, "--edit-preset=table-8")
    assert found == {f"test_parameters[rome-L0-n{n}]" for n in counts}
    smoke = collected(checks, "--edit-preset=table-8", "--edit-tier=smoke")
    assert smoke == {f"test_parameters[rome-L0-n{n}]" for n in (1, 10)}


def test_the_command_line_wins_over_the_preset_and_the_preset_over_the_ini_file(
    checks: Checks,
) -> None:
    checks.pytester.makeini("[pytest]\nedit_counts = 3\nedit_layers = 3\n")
    args = ("--edit-preset=table-8", "--edit-counts=2", "--edit-methods=rome_noc")
    assert collected(checks, *args) == {"test_parameters[rome_noc-L0-n2]"}


def test_m_selects_among_the_presets_methods(checks: Checks) -> None:
    args = ("--edit-preset=figure-7", "--edit-counts=2", "-m", "rome_noc")
    checks.pytester.makepyfile(
        test_more="""
        import pytest
        @pytest.mark.edit_measures("capability.commonsense")
        def test_more(edit_case): pass
        """
    )
    assert collected(checks, *args, "test_more.py") == {"test_more[rome_noc-L0-n2]"}


def test_a_run_of_a_preset_observes(checks: Checks) -> None:
    options = ("--edit-preset=table-8", "--edit-methods=rome_noc", "--edit-counts=1,2")
    args = [f"--edit-model={checks.model}", "--edit-facts=facts.jsonl"]
    args += [f"--edit-cache={checks.cache}", "-m", "not capability"]
    result = checks.pytester.runpytest_inprocess(*args, *options)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["editsuite preset table-8: similarity*", "layers by depth, 32 to 4: 5 is 0"]
    )
    report = checks.observations()
    assert {row["name"].partition(".")[0] for row in report["rows"]} == {"parameters"}
    assert {row["verdict"] for row in report["rows"]} == {"observed"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table-3", "*takes 4 runs (--edit-temperature)*reproduce table-3*"),
        ("table-5", "*table-5 has no runs*describes the methods*"),
        ("table-15", "*it can be table-1, table-2*"),
    ],
)
def test_what_one_run_cannot_hold_is_refused(checks: Checks, name: str, message: str) -> None:
    result = checks.pytester.runpytest_inprocess(
        f"--edit-preset={name}", f"--edit-model={checks.model}", f"--edit-cache={checks.cache}"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_a_measure_that_is_not_there_is_named(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("editsuite.runs.measuring.known_measures", lambda: frozenset({"recall"}))
    result = checks.pytester.runpytest_inprocess(
        "--edit-preset=table-8", f"--edit-model={checks.model}", f"--edit-cache={checks.cache}"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*parameters: no such measure in this version*recall*"])


def test_one_temperature_of_a_preset_is_one_run(checks: Checks) -> None:
    args = ("--edit-preset=table-3", "--edit-temperature=0.5", "--edit-counts=2")
    checks.pytester.makepyfile(
        test_more="""
        import pytest
        @pytest.mark.edit_measures("capability.commonsense")
        def test_more(edit_case): pass
        """
    )
    assert collected(checks, *args, "test_more.py") == {"test_more[rome-L2-n2]"}
