"""A small project with the editing checks: a tiny model, four facts, folders of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.pytester import SysModulesSnapshot

from editsuite.runs.settings import RunSettings

ROOT = Path(__file__).parents[1]
#: Checks that the project has not got: they are tried by tests of their own.
APART = ("test_answers.py", "test_matrices.py", "test_weakspots.py")
#: Checks of one state that it has.
PER_STATE = sum(
    path.read_text(encoding="utf-8").count("@pytest.mark.edit_measures(")
    for folder in ("tests_editing", "tests_analysis")
    for path in (ROOT / folder).glob("test_*.py")
    if path.name not in APART
)
SETTINGS = """
[pytest]
testpaths = tests_editing tests_analysis
addopts = --strict-markers -p no:cacheprovider -p no:hypothesispytest
"""
#: Counts, in a file, what is done at most once; and gives each process the threads of the test.
CONFTEST = """
import os
import time

import editsuite.plugin.workers as workers

workers.cpus = lambda: int(os.environ["CHECKS_CPUS"])


def note(*words):
    with open(os.environ["CHECKS_LOG"], "a") as file:
        file.write(" ".join(map(str, (os.getpid(), *words))) + "\\n")


def pytest_collection_finish(session):
    from editsuite.editors.rome import BoundRome
    from editsuite.runs import run, store

    edit, load, put = BoundRome.edit, run.load_model, store.LookStore.put

    def noted_edit(self, requests):
        time.sleep(float(os.environ.get("CHECKS_SLOW", 0)))
        note("edit", self.layer, requests[0].id)
        return edit(self, requests)

    def noted_load(*args, **kwargs):
        note("load")
        return load(*args, **kwargs)

    def noted_put(self, key, seen):
        note("look", key)
        return put(self, key, seen)

    BoundRome.edit, run.load_model, store.LookStore.put = noted_edit, noted_load, noted_put
"""
FACTS = [
    {
        "id": f"fact-{i}",
        "prompt": f"The mother tongue of {name} is",
        "subject": name,
        "target_new": target,
        "rephrase": f"{name} grew up speaking",
        "locality_prompt": f"The sea near {name} is",
        "locality_answer": "blue",
    }
    for i, (name, target) in enumerate(
        [("Ada Vole", "Thai"), ("Bo Tern", "Urdu"), ("Cy Finch", "Zulu"), ("Di Wren", "Farsi")]
    )
]


class KeptModules(SysModulesSnapshot):
    """Forgets the project's own modules only.

    pytester forgets all that a run imported; torch, numpy and matplotlib do not live through
    being loaded twice by one process.
    """

    def __init__(self, preserve: object = None) -> None:
        super().__init__(lambda name: not name.startswith(("test_", "conftest")))


@dataclass(frozen=True)
class Checks:
    """The project, and how to run pytest in it.

    Attributes:
        pytester: pytest's own fixture, in whose folder the project lies.
        model: folder of the tiny model.
        cache: the suite's cache; shared by tests that do no harm to it.
    """

    pytester: pytest.Pytester
    model: Path
    cache: Path

    @property
    def folder(self) -> Path:
        """The project's root."""
        return self.pytester.path

    def options(self, counts: str = "1,2", layers: str = "1") -> list[str]:
        """Options of a run that is small and touches nothing but this project and the cache."""
        return [
            f"--edit-model={self.model}",
            "--edit-facts=facts.jsonl",
            f"--edit-counts={counts}",
            f"--edit-layers={layers}",
            f"--edit-cache={self.cache}",
            "--edit-missing-baseline=fail",
            "--edit-methods=rome_noc",
        ]

    def inside(self, *args: str, **options: str) -> pytest.RunResult:
        """Run in this process: torch is loaded already. Later options win."""
        (self.folder / "conftest.py").unlink(missing_ok=True)
        return self.pytester.runpytest_inprocess(*self.options(**options), *args)

    def apart(self, *args: str, **options: str) -> pytest.RunResult:
        """Run in a process of its own, as a user does, and count what is done."""
        self.pytester.makeconftest(CONFTEST)
        return self.pytester.runpytest_subprocess(*self.options(**options), *args)

    def noted(self, what: str) -> list[list[str]]:
        """What runs apart noted, as words: process, then the rest."""
        path = self.folder / "log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [line.split() for line in lines if line.split()[1] == what]

    def observations(self) -> dict[str, Any]:
        """The last run's ``observations.json``."""
        path = self.folder / "reports" / "rome_noc" / "observations.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def baseline(self) -> Path:
        """The one baseline file."""
        (file,) = (self.folder / "baselines").rglob("*.json")
        return file


def make_checks(
    pytester: pytest.Pytester,
    factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    cache: str = "checks-cache",
) -> Checks:
    """Make the project; the model and the cache serve all tests of this process."""
    left_out = shutil.ignore_patterns("__pycache__", *APART)
    for folder in ("tests_editing", "tests_analysis"):
        shutil.copytree(ROOT / folder, pytester.path / folder, ignore=left_out)
    pytester.makeini(SETTINGS)
    lines = "".join(json.dumps(fact) + "\n" for fact in FACTS)
    (pytester.path / "facts.jsonl").write_text(lines, encoding="utf-8")
    # A run within a run: neither may take the other's workers for its own.
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CHECKS_LOG", str(pytester.path / "log"))
    monkeypatch.setenv("CHECKS_CPUS", "1")
    monkeypatch.setattr("editsuite.plugin.workers.cpus", lambda: 1)
    monkeypatch.setattr("_pytest.pytester.SysModulesSnapshot", KeptModules)
    monkeypatch.setattr(pytester, "_sys_modules_snapshot", KeptModules())
    base = factory.getbasetemp()
    return Checks(pytester, tiny_folder(base / "checks-model"), base / cache)


def tiny_folder(folder: Path) -> Path:
    """A tiny Llama on disk."""
    if not folder.exists():
        from editsuite.cards import tiny_model

        tiny = tiny_model("llama")
        tiny.model.save_pretrained(folder)
        tiny.tokenizer.save_pretrained(folder)
    return folder


def rows_by_place(report: Mapping[str, Any]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """Rows of a report by test and name."""
    return {(row["test"], row["name"]): row for row in report["rows"]}


def tiny_settings(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    """A run of the tiny model after one and two edits, at two layers."""
    facts = tmp_path / "facts.jsonl"
    facts.write_text("".join(json.dumps(fact) + "\n" for fact in FACTS), encoding="utf-8")
    return RunSettings(
        model=str(tiny_folder(tmp_path_factory.getbasetemp() / "checks-model")),
        facts=str(facts),
        counts=(1, 2),
        layers=(1, 2),
        seed=0,
        device="cpu",
        dtype="float32",
        cache=tmp_path / "cache",
    )


def assert_refused(
    checks: Checks, option: str, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An impossible value stops the run before a model is loaded, with what is known."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("editsuite.runs.run.load_model", refuse)
    result = checks.inside("--edit-dtype=float32", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([known])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
