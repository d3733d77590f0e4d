"""Baselines as a user meets them: written, compared, updated, left over, damaged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from checks_ import PER_STATE, Checks, make_checks, rows_by_place

LEFT = "test_gone[rome_noc-L1-n1]"


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> Checks:
    return make_checks(pytester, tmp_path_factory, monkeypatch)


@pytest.fixture
def written(checks: Checks) -> Checks:
    """With baselines of two counts."""
    assert checks.inside("--snapshot-update").ret == 0
    return checks


def change(checks: Checks, group: str, name: str, **fields: Any) -> None:
    """Change an entry of the baseline file, or remove it where no field is given."""
    held = json.loads(checks.baseline().read_text())
    entries = held["baselines"][group]["observations"]
    if fields:
        entries[name] = {**entries.get(name, {"n": 1, "unit": "share"}), **fields}
    else:
        del entries[name]
    checks.baseline().write_text(json.dumps(held, indent=1) + "\n")


PERPLEXITY = "test_perplexity[rome_noc-L1-n2]"
PROSE = "perplexity.prose"


def failures(result: pytest.RunResult) -> list[str]:
    return [line.split()[1] for line in result.outlines if line.startswith("FAILED ")]


def test_written_then_green_without_a_change(checks: Checks) -> None:
    missing = checks.inside()
    missing.assert_outcomes(failed=2 * PER_STATE)
    missing.stdout.fnmatch_lines(["*no baseline*", "*--snapshot-update*"])
    assert checks.inside("--snapshot-update").ret == 0
    before = checks.baseline().read_bytes()
    checks.inside().assert_outcomes(passed=2 * PER_STATE)
    rows = rows_by_place(checks.observations()).values()
    assert {row["verdict"] for row in rows} == {"pass"}
    assert all(row["baseline"] == row["value"] for row in rows)
    shares = [row for row in rows if row["unit"] == "share" and row["n"] >= 10]
    assert all(row["tolerance"] >= 1 / row["n"] for row in shares)  # one item
    assert all(row["tolerance"] <= 1e-5 * row["value"] for row in rows if row["unit"] == "ratio")
    checks.inside("--snapshot-update").assert_outcomes(passed=2 * PER_STATE)
    assert checks.baseline().read_bytes() == before


def test_one_wrong_number_fails_one_test_and_is_named(written: Checks) -> None:
    change(written, PERPLEXITY, PROSE, value=17.0, tolerance=0.25)
    result = written.inside()
    result.assert_outcomes(passed=2 * PER_STATE - 1, failed=1)
    assert failures(result) == [f"tests_analysis/test_perplexity.py::{PERPLEXITY}"]
    new = rows_by_place(written.observations())[
        (f"tests_analysis/test_perplexity.py::{PERPLEXITY}", PROSE)
    ]
    assert (new["verdict"], new["baseline"], new["tolerance"]) == ("fail", 17.0, 0.25)
    (line,) = [w for w in result.outlines if w.startswith("E") and f" {PROSE} " in w]
    numbers = [float(word) for word in line.split()[2:]]
    assert numbers == pytest.approx([17.0, new["value"], new["value"] - 17.0, 0.25], rel=1e-5)
    assert not any("prose_ratio" in w for w in result.outlines if w.startswith("E"))
    assert written.observations()["run"]["exit_status"] == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"value": "NaN"}, "nan", id="NaN in the file"),
        pytest.param({}, "no baseline", id="a missing number"),
    ],
)
def test_a_number_without_a_baseline_fails(
    written: Checks, fields: dict[str, Any], words: str
) -> None:
    change(written, PERPLEXITY, PROSE, **fields)
    result = written.inside("-m", "rome_noc")
    result.assert_outcomes(passed=2 * PER_STATE - 1, failed=1)
    result.stdout.fnmatch_lines([f"E *{PROSE}*{words}*"])


def test_a_left_over_number_fails_and_an_update_removes_it(written: Checks) -> None:
    before = written.baseline().read_bytes()
    change(written, PERPLEXITY, "perplexity.poetry", value=1.0, tolerance=9.0)
    result = written.inside()
    result.assert_outcomes(passed=2 * PER_STATE - 1, failed=1)
    result.stdout.fnmatch_lines(["E *perplexity.poetry*no longer observed*"])
    written.inside("--snapshot-update").assert_outcomes(passed=2 * PER_STATE)
    assert written.baseline().read_bytes() == before


def test_a_left_over_group_fails_the_run_and_an_update_removes_it(written: Checks) -> None:
    before = written.baseline().read_bytes()
    held = json.loads(before)
    held["baselines"][LEFT] = held["baselines"][PERPLEXITY]
    written.baseline().write_text(json.dumps(held, indent=1))
    result = written.inside()
    result.assert_outcomes(passed=2 * PER_STATE)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"{written.baseline()}::{LEFT} (no check asks for it)" in (result.stdout.str())
    assert written.observations()["run"]["exit_status"] == 1
    assert written.inside("--snapshot-update").ret == 0
    assert written.baseline().read_bytes() == before


@pytest.mark.parametrize(
    "chosen",
    [
        ("-m", "rome_noc and not standard"),
        ("-k", "perplexity"),
        ("--edit-counts=2",),
        ("--edit-layers=1,2", "--edit-missing-baseline=observe"),
        (f"tests_analysis/test_perplexity.py::{PERPLEXITY}",),
        ("--deselect", "tests_analysis/test_perplexity.py"),
        ("--ignore", "tests_analysis"),
    ],
    ids=lambda chosen: chosen[0] if len(chosen) == 1 else " ".join(chosen)[:24],
)
def test_what_a_run_leaves_out_is_not_left_over(written: Checks, chosen: tuple[str, ...]) -> None:
    result = written.inside(*chosen)
    assert result.ret == 0
    assert "left over" not in result.stdout.str()


def test_an_update_moves_what_moved_and_keeps_tolerance_and_noise(written: Checks) -> None:
    right = json.loads(written.baseline().read_text())["baselines"]
    value = right[PERPLEXITY]["observations"][PROSE]["value"]
    ratio = right[PERPLEXITY]["observations"]["perplexity.prose_ratio"]["value"]
    noise = {"threads": 0.125}
    change(written, PERPLEXITY, PROSE, value=value + 1, tolerance=0.5, noise=noise)
    near = ratio + 0.25
    change(written, PERPLEXITY, "perplexity.prose_ratio", value=near, tolerance=0.5)
    assert written.inside("--snapshot-update").ret == 0
    now = json.loads(written.baseline().read_text())["baselines"]
    moved = now[PERPLEXITY]["observations"][PROSE]
    assert (moved["value"], moved["tolerance"], moved["noise"]) == (value, 0.5, noise)
    kept = now[PERPLEXITY]["observations"]["perplexity.prose_ratio"]
    assert (kept["value"], kept["tolerance"]) == (near, 0.5)
    assert {n: g for n, g in now.items() if n != PERPLEXITY} == {
        n: g for n, g in right.items() if n != PERPLEXITY
    }


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the measure of perplexity give NaN."""
    from editsuite.measures import Observation, Perplexity

    def observe(*_: object) -> tuple[Observation, ...]:
        nan = float("nan")
        return (Observation(PROSE, nan, 1, "perplexity", nan, nan, "exact"),)

    monkeypatch.setattr(Perplexity, "observe", observe)


def test_nan_fails_and_never_becomes_a_baseline(
    written: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written.baseline().read_bytes()
    spoil(monkeypatch)
    for more in ((), ("--snapshot-update",), ("--edit-missing-baseline=observe",)):
        written.inside(*more, counts="1").assert_outcomes(passed=PER_STATE - 1, failed=1)
        assert written.baseline().read_bytes() == before
    found = rows_by_place(written.observations())
    assert tuple(row["value"] for (_, name), row in found.items() if name == PROSE) == ("NaN",)


def test_observing_passes_and_says_so(checks: Checks) -> None:
    checks.inside("--edit-missing-baseline=auto", counts="1").assert_outcomes(passed=PER_STATE)
    assert {row["verdict"] for row in checks.observations()["rows"]} == {"observed"}
    assert not (checks.folder / "baselines").exists()


@pytest.mark.parametrize(
    "text",
    ['{"schema": 1, "baselines": {', "[]", '{"schema": 2, "baselines": {}}', '{"schema": 1}'],
)
def test_a_damaged_file_is_named(written: Checks, text: str) -> None:
    written.baseline().write_text(text)
    for more in ((), ("--snapshot-update",)):
        result = written.inside(*more, counts="1")
        result.assert_outcomes(failed=PER_STATE)
        result.stdout.fnmatch_lines([f"*{written.baseline()} is damaged*"])
        assert "Traceback" not in result.stdout.str()
        assert written.baseline().read_text() == text


@pytest.mark.parametrize("tolerance", ["NaN", -1, "Infinity"])
def test_a_tolerance_that_is_none_is_damage(written: Checks, tolerance: object) -> None:
    change(written, PERPLEXITY, PROSE, tolerance=tolerance)
    result = written.inside("-k", "perplexity")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{written.baseline()} is damaged*{PROSE}*"])


def test_a_check_in_a_class_has_a_group_of_its_own(written: Checks) -> None:
    written.pytester.makepyfile(
        **{
            "tests_analysis/test_parameters": """
            import pytest

            class TestWeights:
                @pytest.mark.edit_measures("parameters")
                def test_parameters(self, observed, baseline):
                    assert observed("parameters") == baseline
            """
        }
    )
    result = written.inside("--snapshot-update")
    result.assert_outcomes(passed=2 * PER_STATE)
    result.stdout.fnmatch_lines(["removed: *::test_parameters*n1*", "removed: *n2*"])
    assert written.inside().ret == 0
    assert {row["verdict"] for row in written.observations()["rows"]} == {"pass"}
