"""The checks of matrices and of weak spots, through the plugin."""

from __future__ import annotations

import shutil

import pytest
from checks_ import ROOT, Checks, make_checks

#: Checks that look at more than an edit or a count.
FILES = ("test_matrices.py", "test_weakspots.py")


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> Checks:
    found = make_checks(pytester, tmp_path_factory, monkeypatch)
    for name in FILES:
        shutil.copy(ROOT / "tests_analysis" / name, pytester.path / "tests_analysis" / name)
    return found


def test_they_are_written_held_and_reported(checks: Checks) -> None:
    files = [f"tests_analysis/{name}" for name in FILES]
    checks.inside(*files, "--snapshot-update", counts="2").assert_outcomes(passed=2)
    checks.inside(*files, counts="2").assert_outcomes(passed=2)
    rows = {row["name"]: row for row in checks.observations()["rows"]}
    assert {*rows} == {
        "parameters.condition_number",
        "parameters.condition_ratio",
        "parameters.spectral_change",
        "parameters.spectral_ratio",
        "parameters.weight_norm",
        "weakspots.worst_edit",
    }
    assert all(row["verdict"] == "pass" for row in rows.values())
    moved = rows["parameters.spectral_ratio"]["value"]
    file = checks.baseline()
    text = file.read_text(encoding="utf-8")
    assert repr(moved) in text
    file.write_text(text.replace(repr(moved), repr(2 * moved)), encoding="utf-8")
    checks.inside(*files, counts="2").assert_outcomes(passed=1, failed=1)
