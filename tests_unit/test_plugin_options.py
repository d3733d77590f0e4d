"""Options, ini keys, markers, and a project that has nothing to do with editing."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks_ import SETTINGS, Checks, assert_refused, make_checks

from editsuite.plugin.cases import wanted_methods
from editsuite.plugin.known_options import OPTIONS


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> Checks:
    return make_checks(pytester, tmp_path_factory, monkeypatch)


def ids(result: pytest.RunResult) -> set[str]:
    """Cases of the collected tests."""
    return {line.partition("[")[2][:-1] for line in result.outlines if line.endswith("]")}


COLLECT = ("--collect-only", "-q")


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (("-m", "rome", "--edit-methods="), {"rome-L1-n1", "rome-L1-n2"}),
        (("-m", "rome_noc", "--edit-methods="), {"rome_noc-L1-n1", "rome_noc-L1-n2"}),
        (("-m", "rome and smoke", "--edit-methods="), {"rome-L1-n1"}),
        (("-m", "rome and not rome_noc", "--edit-methods=", "--edit-counts=1"), {"rome-L1-n1"}),
        (("--edit-layers=2,1", "--edit-counts=2,2"), {"rome_noc-L1-n2", "rome_noc-L2-n2"}),
        (("--edit-methods=r_rome,rome, rome", "--edit-counts=1"), {"r_rome-L1-n1", "rome-L1-n1"}),
        (
            ("--edit-facts=builtin", "--edit-counts=", "--edit-tier=smoke"),
            {"rome_noc-L1-n1", "rome_noc-L1-n10"},
        ),
    ],
)
def test_the_right_cases_are_selected(
    checks: Checks, args: tuple[str, ...], wanted: set[str]
) -> None:
    assert ids(checks.inside(*COLLECT, *args)) == wanted


def test_a_tier_is_part_of_the_next(checks: Checks) -> None:
    standard = ids(checks.inside(*COLLECT, "--edit-facts=builtin", "--edit-counts="))
    assert standard == {f"rome_noc-L1-n{n}" for n in (1, 10, 20, 50, 100)}


def test_ini_keys_count_and_the_command_line_wins(checks: Checks) -> None:
    options = {o.name: o.default for o in OPTIONS}
    options |= {
        **{"model": str(checks.model), "facts": "facts.jsonl", "cache": str(checks.cache)},
        **{"counts": "1,3", "layers": "2", "methods": "r_rome", "tier": "paper", "seed": "b"},
    }
    lines = "".join(f"edit_{n.replace('-', '_')} = {v}\n" for n, v in options.items())
    checks.pytester.makeini(SETTINGS + lines)
    run = checks.pytester.runpytest_inprocess
    assert ids(run(*COLLECT)) == {"r_rome-L2-n1", "r_rome-L2-n3"}
    assert ids(run(*COLLECT, "--edit-layers=0", "--edit-counts=4")) == {"r_rome-L0-n4"}
    checks.pytester.makeini(SETTINGS + lines.replace("edit_model = ", "edit_model = no-such-"))
    result = run(*COLLECT)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--edit-model*no-such-*"])


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("--edit-model=no-such-model", "*smollm2-135m-instruct*"),
        ("--edit-model=./nowhere", "*--edit-model*nowhere*"),
        ("--edit-facts=nonsense", "*builtin*counterfact*zsre*"),
        ("--edit-facts=absent.jsonl", "*absent.jsonl*no such file*"),
        ("--edit-tier=huge", "*paper, smoke, standard*"),
        ("--edit-counts=1,x", "*numbers of edits such as 1,10,100*"),
        ("--edit-counts=0", "*none under 1*"),
        ("--edit-counts=5", "*facts.jsonl holds 4 usable facts*"),
        ("--edit-batch-size=0", "*none under 1*"),
        ("--edit-batch-size=2", "*one fact at a time*--edit-batch-size*"),
        ("--edit-layers=-1", "*layers counted from 0*"),
        ("--edit-layers=4", "*layers 0 to 3*"),
        ("--edit-methods=rome,memoir", "*memoir*r_rome, rome, rome_noc*"),
        ("--edit-methods=rome,", "*known are *r_rome, rome, rome_noc*"),
        ("--edit-set=v_lr", "*hyperparameters such as grace.eps=5*"),
        ("--edit-set=memoir.eps=5", "*memoir*methods of this run are *rome*"),
        ("--edit-seed=e", "*a, b, c, d*"),
        ("--edit-device=gpu", "*auto, cpu, cuda, cuda:N or mps*"),
        ("--edit-device=cuda:99", "*cuda:99*"),
        ("--edit-dtype=int8", "*bfloat16, float16, float32*"),
        ("--edit-missing-baseline=maybe", "*auto, fail or observe*"),
        ("--edit-cache=facts.jsonl", "*facts.jsonl cannot be made*--edit-cache*"),
        ("--edit-cache=facts.jsonl/x", "*cannot be made*--edit-cache*"),
    ],
)
def test_an_impossible_value_stops_the_run_at_once(
    checks: Checks, option: str, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(checks, option, known, monkeypatch)


def test_a_folder_after_a_blank_is_explained(checks: Checks, tmp_path: Path) -> None:
    folder = tmp_path / "apart"
    folder.mkdir()
    result = checks.inside("--edit-cache", str(folder))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*after --edit-cache*did not read*tox.ini*--edit-cache=DIR*"])
    # A folder that does not exist yet, or settings named by hand, mislead nobody.
    collected = checks.inside(*COLLECT, "--edit-cache", str(folder), "-c", "tox.ini")
    assert collected.ret == 0
    assert checks.inside(*COLLECT, "--edit-cache", str(folder / "new")).ret == 0


def test_markers_are_listed(checks: Checks) -> None:
    listed = checks.inside("--markers")
    for name in (
        "rome",
        "rome_noc",
        "r_rome",
        "ft_l",
        "smoke",
        "standard",
        "paper",
        "edit_measures(name",
    ):
        listed.stdout.fnmatch_lines([f"@pytest.mark.{name}*"])


@pytest.mark.parametrize(
    ("expression", "methods"),
    [
        ("", ("rome",)),
        ("smoke", ("rome",)),
        ("rome or r_rome", ("rome", "r_rome")),
        ("rome_noc and smoke", ("rome_noc",)),
        ("ft_l and smoke", ("ft_l",)),
        ("not rome_noc", ("rome",)),
    ],
)
def test_the_marker_expression_names_the_methods(expression: str, methods: tuple[str, ...]) -> None:
    assert wanted_methods(expression, "") == methods
    assert wanted_methods(expression, "r_rome") == ("r_rome",)


OUTSIDER = """
import sys


def test_of_something_else():
    assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("option", [(), ("--help",)], ids=["run", "help"])
def test_a_project_without_editing_checks_notices_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    monkeypatch.setenv("EDITSUITE_CACHE", str(pytester.path / "cache"))
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    temporary = pytester.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    pytester.makepyfile(OUTSIDER)
    pytester.makeconftest(
        "import sys\n\n\ndef pytest_unconfigure():\n    print('torch' in sys.modules, 'torch')\n"
    )
    before = files(pytester.path)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-s", *option)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["False torch*"])
    # pytester itself keeps what the run wrote to the terminal.
    assert files(pytester.path) - before <= {"stdout", "stderr"}
    shown = result.stdout.str().partition("plugins:")[2].partition("\n")[2]
    assert option or "editsuite" not in shown


def files(folder: Path) -> set[str]:
    """Everything below a folder but what Python and pytester keep there."""
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return {
        str(path)
        for path in paths
        if "__pycache__" not in path.parts and not path.parts[0].startswith("runpytest-")
    }


def test_mend_without_a_network_for_the_model_is_a_usage_error(checks: Checks) -> None:
    result = checks.inside("-m", "mend", "--edit-methods=", layers="2,3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: mend: no hypernetwork is shipped for model *train-mend*"])


def test_a_network_of_ones_own_is_looked_at_before_a_model_is_loaded(checks: Checks) -> None:
    result = checks.inside(
        "-m",
        "mend",
        "--edit-methods=",
        "--edit-set=mend.hypernetwork=absent.safetensors",
        layers="2,3",
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: hypernetwork absent.safetensors: there is no such file*"])
