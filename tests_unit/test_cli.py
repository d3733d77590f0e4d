"""The command line: exit codes, messages, and help without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import editsuite.cards
import editsuite.doctor
from editsuite.cards import known_cards
from editsuite.cli import TeachingGroup, app
from editsuite.doctor import Row, Status
from editsuite.errors import CardError, ModelLoadError


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})


def test_help_names_every_command_and_shows_examples(runner: CliRunner) -> None:
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    for words in ("doctor", "prepare", "cards", "Examples", "pytest -m rome -n 2"):
        assert words in result.stdout


@pytest.mark.parametrize("command", ["doctor", "prepare", "cards"])
def test_every_command_has_an_example(runner: CliRunner, command: str) -> None:
    result = runner.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"editsuite {command}" in result.stdout


def test_help_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from editsuite.cli import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "assert CliRunner().invoke(app, ['cards']).exit_code == 0; "
        "sys.exit(len({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_cards_lists_every_known_card(runner: CliRunner) -> None:
    result = runner.invoke(app, ["cards"])
    assert result.exit_code == 0
    first_words = [line.split()[0] for line in result.stdout.splitlines()]
    assert first_words == ["name", *known_cards()]


def test_an_unknown_model_is_a_message_and_exit_code_2(runner: CliRunner) -> None:
    result = runner.invoke(app, ["prepare", "--model", "no-such-model"])
    assert result.exit_code == 2
    assert "error:" in result.stderr
    assert "no-such-model" in result.stderr
    assert known_cards()[0] in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_prepare_without_a_model_is_a_usage_error(runner: CliRunner) -> None:
    result = runner.invoke(app, ["prepare"])
    assert result.exit_code == 2
    assert "--model" in result.stderr


def test_prepare_hands_its_options_on_and_names_the_folder(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def prepare(card: Any, *, progress: Callable[[str, float], None], **options: Any) -> Path:
        asked.update(options, name=card.name)
        progress("half [way]", 0.5)
        return tmp_path / "a folder [with brackets]"

    monkeypatch.setattr(editsuite.cards, "prepare_model", prepare, raising=False)
    arguments = ["prepare", "--model", "gpt2", "--edit-cache", str(tmp_path)]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0
    assert asked == {"name": "gpt2", "cache": tmp_path, "verify": False}
    assert result.stdout == f"gpt2: ready in {tmp_path}/a folder [with brackets]\n"


def test_an_error_with_brackets_is_shown_as_it_is(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(*_: Any, **__: Any) -> Path:
        raise ModelLoadError("pip install editsuite[dev] " + "x" * 300)

    monkeypatch.setattr(editsuite.cards, "prepare_model", prepare, raising=False)
    result = runner.invoke(app, ["prepare", "--model", "gpt2"])
    assert result.exit_code == 2
    assert "pip install editsuite[dev] " + "x" * 300 in result.stderr


def test_other_errors_are_not_swallowed(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*_: Any, **__: Any) -> Path:
        raise ZeroDivisionError

    monkeypatch.setattr(editsuite.cards, "prepare_model", prepare, raising=False)
    result = runner.invoke(app, ["prepare", "--model", "gpt2"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_errors_of_a_joined_group_are_shown_the_same_way(runner: CliRunner) -> None:
    main, group = typer.Typer(cls=TeachingGroup), typer.Typer()

    @group.command()
    def fail() -> None:
        raise CardError("no such card; use another")

    @group.command()
    def work() -> None:
        return None

    main.add_typer(group, name="group")
    result = runner.invoke(main, ["group", "fail"])
    assert result.exit_code == 2
    assert "no such card; use another" in result.stderr
    assert runner.invoke(main, ["group", "work"]).exit_code == 0


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warning", 0), ("missing", 1)])
def test_the_doctor_fails_only_where_something_needed_is_missing(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    row = Row("thing", Status(status), "found [so]", "make thing")
    monkeypatch.setattr(editsuite.doctor, "examine", lambda *_: (row,))
    table = runner.invoke(app, ["doctor"])
    assert table.exit_code == code
    assert "found [so]" in table.stdout
    assert ("make thing" in table.stdout) == (status != "ok")
    machine = runner.invoke(app, ["doctor", "--json"])
    assert machine.exit_code == code
    told = json.loads(machine.stdout)
    assert told["ok"] == (code == 0)
    assert told["rows"][0]["mend"] == "make thing"


def test_the_doctor_looks_at_the_cache_that_is_named(runner: CliRunner, tmp_path: Path) -> None:
    result = runner.invoke(app, ["doctor", "--json", "--edit-cache", str(tmp_path / "here")])
    rows = {row["name"]: row for row in json.loads(result.stdout)["rows"]}
    assert str(tmp_path / "here") in rows["cache"]["detail"]
    assert rows["converted model"]["status"] == "missing"
