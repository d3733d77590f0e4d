"""Workers, interruptions and damage, in processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checks_ import CONFTEST, Checks, make_checks, rows_by_place


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> Checks:
    """With an empty cache of its own."""
    cache = f"cache-{pytester.path.name}"
    return make_checks(pytester, tmp_path_factory, monkeypatch, cache)


OBSERVE = "--edit-missing-baseline=observe"
#: The fields of a row that do not tell of a run but of a model.
SEEN = ("value", "n", "unit", "low", "high", "verdict")


def seen(checks: Checks) -> dict[tuple[str, ...], tuple[object, ...]]:
    rows = rows_by_place(checks.observations())
    return {place: tuple(row[field] for field in SEEN) for place, row in rows.items()}


def edits(checks: Checks) -> list[tuple[str, ...]]:
    return [tuple(words[2:]) for words in checks.noted("edit")]


def test_workers_share_the_work_and_agree(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chains under two workers; then the same from the warm chains, and from nothing."""
    monkeypatch.setenv("CHECKS_CPUS", "2")
    monkeypatch.setenv("CHECKS_SLOW", "0.3")
    checks.apart(OBSERVE, "-n", "2", layers="1,2", counts="1,3").assert_outcomes(passed=20)
    first, made = seen(checks), edits(checks)
    assert len(made) == len(set(made)) == 2 * 3
    loads = [words[0] for words in checks.noted("load")]
    assert len(loads) == len(set(loads)) <= 2
    looks = [words[2] for words in checks.noted("look")]
    assert len(looks) == len(set(looks))
    events = [line.split()[1] for line in (checks.folder / "log").read_text().splitlines()]
    last_edit = len(events) - events[::-1].index("edit")
    assert "look" in events[:last_edit]  # who waits measures what is ready

    monkeypatch.setenv("CHECKS_SLOW", "0")
    journal = written(checks)
    for workers in ("1", "4"):
        monkeypatch.setenv("CHECKS_CPUS", workers)
        args = (OBSERVE, "-n", workers, "--edit-remeasure")
        checks.apart(*args, layers="1,2", counts="1,3").assert_outcomes(passed=20)
        assert seen(checks) == first
        assert len(checks.noted("look")) > len(looks)
        looks = [words[2] for words in checks.noted("look")]
    checks.inside(OBSERVE, "--edit-remeasure", layers="1,2", counts="1,3")
    assert seen(checks) == first
    assert written(checks) == journal

    shutil.rmtree(checks.cache)
    checks.inside(OBSERVE, layers="1,2", counts="1,3").assert_outcomes(passed=20)
    assert seen(checks) == first
    assert set(written(checks)) == set(journal)  # the names are checksums: bit for bit


def written(checks: Checks) -> dict[str, int]:
    """The edits in the journal, and when each was written."""
    return {file.name: file.stat().st_mtime_ns for file in kept(checks.cache)}


def test_a_flipped_byte_is_named_and_mended(checks: Checks) -> None:
    checks.apart("--snapshot-update", counts="1,3").assert_outcomes(passed=10)
    looks, report = len(checks.noted("look")), checks.folder / "reports" / "rome_noc"
    assert (report / "report.html").stat().st_size > 1000
    checks.apart(counts="1,3").assert_outcomes(passed=10)
    assert (len(edits(checks)), len(checks.noted("look"))) == (3, looks)

    (file,) = checks.cache.glob("chains/*/000002-*.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    mended = checks.apart(counts="1,3")
    mended.assert_outcomes(passed=10, warnings=1)
    mended.stdout.fnmatch_lines([f"*JournalWarning*{file} is damaged*"])
    assert [fact for _, fact in edits(checks)][1:2] == [fact for _, fact in edits(checks)][3:]
    assert len(checks.noted("look")) == looks  # the same state again: nothing to look at anew


def test_two_workers_update_one_file_and_lose_nothing(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKS_CPUS", "2")
    checks.apart("--snapshot-update", "-n", "2").assert_outcomes(passed=10)
    checks.inside().assert_outcomes(passed=10)
    text = checks.baseline().read_text()
    assert text.count('"plan"') == 10
    kept = text.replace("test_perplexity[rome_noc-L1-n1]", "test_gone[rome_noc-L1-n1]")
    checks.baseline().write_text(kept)
    checks.apart("--snapshot-update", "-n", "2").assert_outcomes(passed=10)
    assert checks.baseline().read_text() == text


def test_an_interrupted_run_goes_on(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKS_SLOW", "2")
    checks.pytester.makeconftest(CONFTEST)
    command = [sys.executable, "-m", "pytest", *checks.options(counts="4"), OBSERVE]
    with subprocess.Popen(command, cwd=checks.folder, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not kept(checks.cache) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == pytest.ExitCode.INTERRUPTED
    done = len(kept(checks.cache))
    assert 1 <= done < 4
    before = len(edits(checks))
    monkeypatch.setenv("CHECKS_SLOW", "0")
    checks.apart(OBSERVE, counts="4").assert_outcomes(passed=5)
    assert len(edits(checks)) - before == 4 - done
    assert not list(checks.cache.rglob("*.part"))


def kept(cache: Path) -> list[Path]:
    """The edits in the journal."""
    return list(cache.glob("chains/*/*.safetensors"))
