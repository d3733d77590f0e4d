"""Workers, interruptions and damage, in processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from checks_ import CONFTEST, PER_STATE, Checks, make_checks, rows_by_place

from editsuite.sealed import unseal


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
    monkeypatch.setenv("CHECKS_SLOW", "0.2")
    checks.apart(OBSERVE, "-n", "2", layers="1,2", counts="1,3").assert_outcomes(
        passed=4 * PER_STATE
    )
    first, made = seen(checks), edits(checks)
    assert len(made) == len(set(made)) == 2 * 3
    loads = [words[0] for words in checks.noted("load")]
    assert len(loads) == len(set(loads)) <= 2
    looks = [words[2] for words in checks.noted("look")]
    assert len(looks) == len(set(looks))

    monkeypatch.setenv("CHECKS_SLOW", "0")
    journal, reached = written(checks), states(checks)
    for workers in ("1", "4"):
        monkeypatch.setenv("CHECKS_CPUS", workers)
        args = (OBSERVE, "-n", workers, "--edit-remeasure")
        checks.apart(*args, layers="1,2", counts="1,3").assert_outcomes(passed=4 * PER_STATE)
        assert seen(checks) == first
        assert len(checks.noted("look")) > len(looks)
        looks = [words[2] for words in checks.noted("look")]
    checks.inside(OBSERVE, "--edit-remeasure", layers="1,2", counts="1,3")
    assert seen(checks) == first
    assert written(checks) == journal

    shutil.rmtree(checks.cache)
    checks.inside(OBSERVE, layers="1,2", counts="1,3").assert_outcomes(passed=4 * PER_STATE)
    assert seen(checks) == first
    assert states(checks) == reached  # bit for bit


def states(checks: Checks) -> set[str]:
    """Digests of the states that the edits lead to."""
    return {unseal(file).metadata["after"] for file in kept(checks.cache)}


def written(checks: Checks) -> dict[str, int]:
    """The edits in the journal, and when each was written."""
    return {file.name: file.stat().st_mtime_ns for file in kept(checks.cache)}


def test_a_flipped_byte_is_named_and_mended(checks: Checks) -> None:
    checks.inside("--snapshot-update", counts="1,3").assert_outcomes(passed=2 * PER_STATE)
    report = checks.folder / "reports" / "rome_noc" / "report.html"
    assert report.stat().st_size > 1000
    checks.apart(counts="1,3").assert_outcomes(passed=2 * PER_STATE)
    assert checks.noted("edit") == checks.noted("look") == []  # all is reused

    (file,) = checks.cache.glob("chains/*/000002-*.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    before = written(checks)
    mended = checks.apart(counts="1,3")
    mended.assert_outcomes(passed=2 * PER_STATE, warnings=1)
    mended.stdout.fnmatch_lines([f"*JournalWarning*{file} is damaged*"])
    assert len(edits(checks)) == 1
    assert {name[:6] for name in set(written(checks)) - set(before)} == {"000002"}
    assert checks.noted("look") == []  # the same state again: nothing to look at anew


def test_two_workers_update_one_file_and_lose_nothing(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks.inside("--snapshot-update").assert_outcomes(passed=2 * PER_STATE)
    whole = checks.baseline().read_text()
    checks.baseline().unlink()
    checks.inside("--snapshot-update", counts="1").assert_outcomes(passed=PER_STATE)
    text = checks.baseline().read_text()
    old, gone = "test_perplexity[rome_noc-L1-n1]", "test_gone[rome_noc-L1-n1]"
    checks.baseline().write_text(text.replace(old, gone))
    monkeypatch.setenv("CHECKS_CPUS", "2")
    updated = checks.apart("--snapshot-update", "-n", "2")
    updated.assert_outcomes(passed=2 * PER_STATE)
    assert f"removed: {checks.baseline()}::{gone}" in updated.stdout.str()
    assert checks.baseline().read_text() == whole


def test_an_interrupted_run_goes_on(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKS_SLOW", "2")
    checks.pytester.makeconftest(CONFTEST)
    command = [sys.executable, "-m", "pytest", *checks.options(counts="4"), OBSERVE]
    with subprocess.Popen(
        command,
        cwd=checks.folder,
        stdout=subprocess.DEVNULL,
        # Whoever runs the tests in a shell's background hands an ignored SIGINT down to them.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        deadline = time.monotonic() + 120
        while not kept(checks.cache) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == pytest.ExitCode.INTERRUPTED
    before = written(checks)
    assert 1 <= len(before) < 4
    checks.inside(OBSERVE, counts="4").assert_outcomes(passed=PER_STATE)
    after = written(checks)
    assert len(after) == 4
    assert before.items() <= after.items()  # what was kept is not made again
    assert not list(checks.cache.rglob("*.part"))


def kept(cache: Path) -> list[Path]:
    """The edits in the journal."""
    return list(cache.glob("chains/*/*.safetensors"))
