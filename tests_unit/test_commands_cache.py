"""``editsuite cache`` and ``editsuite calibrate``, on a cache with one tiny chain."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from checks_ import tiny_folder
from filelock import FileLock
from typer.testing import CliRunner

from editsuite.cli import app
from editsuite.commands.tolerances import write_tolerances
from editsuite.errors import BaselineError
from editsuite.runs import Case, Run, RunSettings
from editsuite.runs.calibration import Variation
from editsuite.runs.housekeeping import damaged, kept, prune

CASE = Case("rome_noc", (1,))


@pytest.fixture
def run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Run:
    """Two edits and a look are kept."""
    model = tiny_folder(tmp_path_factory.getbasetemp() / "checks-model")
    cache = tmp_path / "cache"
    run = Run(RunSettings(str(model), "builtin", (1, 2), None, 0, "cpu", "float32", cache))
    run.observe(CASE, 2, ("parameters",))
    return run


def call(run: Run, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        app, [*words, f"--edit-cache={run.settings.cache}"], env={"COLUMNS": "200"}
    )
    return result.exit_code, result.output


def test_ls_names_chains_and_looks(run: Run) -> None:
    code, text = call(run, "cache", "ls")
    assert code == 0
    for words in ("rome_noc L1", "seed 0, 2 edits", "looks", "contexts"):
        assert words in text


def test_an_absent_cache_is_empty(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert kept(absent) == list(damaged(absent)) == prune(absent, 0) == []
    assert not absent.exists()


def test_verify_finds_one_flipped_bit_and_prune_removes_the_file(run: Run) -> None:
    assert call(run, "cache", "verify")[0] == 0
    (file,) = run.chain(CASE).journal.paths(2)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    code, text = call(run, "cache", "verify")
    assert code == 1
    assert str(file) in text
    assert "1 damaged" in text
    assert call(run, "cache", "verify", "--prune")[0] == 0
    assert not file.exists()
    assert call(run, "cache", "verify")[0] == 0


def test_prune_takes_the_old_and_leaves_models_and_busy_chains(run: Run) -> None:
    cache = run.settings.cache
    model = cache / "models" / "one" / "model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"weights")
    assert "removed 0 item(s)" in call(run, "cache", "prune", "--days", "1")[1]
    long_ago = time.time() - 40 * 86400
    for path in cache.rglob("*"):
        os.utime(path, (long_ago, long_ago))
    folder = run.chain(CASE).journal.folder
    with FileLock(folder / "edit.lock"):
        os.utime(folder / "edit.lock", (long_ago, long_ago))
        call(run, "cache", "prune")
        assert len(list(folder.glob("*.safetensors"))) == 2
        assert not (cache / "looks").exists()
    os.utime(folder / "edit.lock", (long_ago, long_ago))
    call(run, "cache", "prune")
    assert not folder.exists()
    assert model.read_bytes() == b"weights"


def baseline(folder: Path, model: str) -> Path:
    """A baseline file of one calibrated and one other count."""
    entry = {"value": 0.5, "tolerance": 0.25, "n": 40, "unit": "ratio"}
    groups = {
        f"test_x[rome_noc-L1-n{n}]": {
            "plan": "p",
            "observations": {"parameters.relative_drift": dict(entry), "other": dict(entry)},
        }
        for n in (1, 50)
    }
    file = folder / model / "rome_noc" / "L1.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"schema": 1, "baselines": groups}))
    return file


BASE = Variation("base", 1)
DRIFT = "parameters.relative_drift"


def test_tolerances_are_written_beside_values_that_stay(tmp_path: Path) -> None:
    file = baseline(tmp_path, "tiny")
    before = json.loads(file.read_text())["baselines"]
    found = {BASE: {1: {DRIFT: 1.0}}, Variation("threads", 2): {1: {DRIFT: 1.5}}}
    assert write_tolerances(file, found) == 1
    after = json.loads(file.read_text())["baselines"]
    entry = after["test_x[rome_noc-L1-n1]"]["observations"].pop(DRIFT)
    assert (entry["value"], entry["tolerance"], entry["noise"]) == (0.5, 1.0, {"threads": 0.5})
    del before["test_x[rome_noc-L1-n1]"]["observations"][DRIFT]
    assert after == before


def test_without_a_measured_base_the_committed_value_is_it(tmp_path: Path) -> None:
    file = baseline(tmp_path, "tiny")
    assert write_tolerances(file, {Variation("rounding", 1): {1: {DRIFT: 0.75}}}) == 1
    entry = json.loads(file.read_text())["baselines"]["test_x[rome_noc-L1-n1]"]["observations"]
    assert entry[DRIFT]["noise"] == {"rounding": 0.25}
    assert entry[DRIFT]["tolerance"] == 0.5


def test_noise_of_another_kind_is_kept_and_nothing_gets_narrower(tmp_path: Path) -> None:
    file = baseline(tmp_path, "tiny")
    name = "test_x[rome_noc-L1-n1]"

    def entry() -> dict[str, object]:
        held = json.loads(file.read_text())["baselines"][name]["observations"][DRIFT]
        return {key: held[key] for key in ("tolerance", "noise")}

    write_tolerances(file, {Variation("contexts", 1): {1: {DRIFT: 0.75}}})
    wide = entry()["tolerance"]
    write_tolerances(file, {Variation("rounding", 1): {1: {DRIFT: 0.5001}}})
    assert entry()["tolerance"] == wide
    assert entry()["noise"] == {"contexts": 0.177, "rounding": 0.0001}
    write_tolerances(file, {Variation("rounding", 1): {1: {DRIFT: 99.0}}})
    assert entry()["tolerance"] == 2 * 98.5


def test_a_retention_has_room_for_one_item_as_its_score_has(tmp_path: Path) -> None:
    """Of 40 items 30 were right before and 24 are: one more or less is one thirtieth."""
    file = baseline(tmp_path, "tiny")
    held = json.loads(file.read_text())
    values = {"retention": 0.8, "score": 0.6, "lost": 0.2, "won": 0.05}
    held["baselines"]["test_x[rome_noc-L1-n1]"]["observations"] = {
        f"capability.code.{name}": {"value": value, "tolerance": 0.0, "n": 40, "unit": "ratio"}
        for name, value in values.items()
    }
    file.write_text(json.dumps(held))
    write_tolerances(file, {Variation("rounding", 1): {1: {"capability.code.retention": 0.8}}})
    entries = json.loads(file.read_text())["baselines"]["test_x[rome_noc-L1-n1]"]["observations"]
    assert entries["capability.code.retention"]["tolerance"] == pytest.approx(1 / 30, rel=0.01)


def test_noise_that_is_no_number_is_refused(tmp_path: Path) -> None:
    file = baseline(tmp_path, "tiny")
    before = file.read_bytes()
    found = {BASE: {1: {DRIFT: 1.0}}, Variation("threads", 2): {1: {DRIFT: float("nan")}}}
    with pytest.raises(BaselineError, match=f"{DRIFT}.*threads"):
        write_tolerances(file, found)
    assert file.read_bytes() == before


def test_calibrate_asks_for_baselines_first(run: Run, tmp_path: Path) -> None:
    options = ("--model", run.settings.model, "--layers=1", "--method=rome_noc")
    code, text = call(run, "calibrate", *options, f"--baselines={tmp_path / 'none'}")
    assert code == 2
    assert "--snapshot-update" in text


@pytest.mark.parametrize("measured", [True, False])
def test_calibrate_end_to_end(run: Run, tmp_path: Path, measured: bool) -> None:
    file = baseline(tmp_path, run.card.name)
    options = ["--model", run.settings.model, "--layers=1", "--method=rome_noc", "--counts=1"]
    options += ["--threads=1", "--budgets=256", "--context-seeds=1", f"--baselines={tmp_path}"]
    options += ["--no-capabilities", *([] if measured else ["--committed-base"])]
    code, text = call(run, "calibrate", *options)
    assert code == 0, text
    entry = json.loads(file.read_text())["baselines"]["test_x[rome_noc-L1-n1]"]["observations"]
    assert entry[DRIFT]["value"] == 0.5
    if not measured:  # the base is then the 0.5 that nobody measured
        assert entry[DRIFT]["noise"]["batch"] > 0.1
        return
    # The matrices do not depend on how the measures batch; they do on the prefixes.
    assert entry[DRIFT]["noise"]["batch"] == 0.0
    assert entry[DRIFT]["noise"]["contexts"] > 100 * entry[DRIFT]["noise"]["rounding"]
    assert entry["other"] == {"value": 0.5, "tolerance": 0.25, "n": 40, "unit": "ratio"}
    chains = [one for one in kept(run.settings.cache) if one.kind == "chain"]
    # The run's own, which is the base, that of other last bits, and that of the other prefixes.
    assert len(chains) == 3
