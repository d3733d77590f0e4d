"""Methods that edit in batches and over several layers, through the checks."""

from __future__ import annotations

import json

import pytest
from checks_ import Checks, make_checks


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Checks:
    return make_checks(pytester, tmp_path_factory, monkeypatch, "batches-cache")


def test_a_chain_in_batches_runs_over_all_its_layers(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A short text of the model's own serves: what it weighs is not looked at here.
    monkeypatch.setattr("editsuite.editors.corpus.SELF_SEQUENCES", 4)
    monkeypatch.setattr("editsuite.editors.corpus.SELF_TOKENS", 60)
    result = checks.inside(
        "tests_editing",
        "-k",
        "reliability",
        "--edit-methods=memit,alphaedit",
        "--edit-batch-size=1,2",
        "--edit-missing-baseline=observe",
        counts="2",
        layers="0,1",
    )
    result.assert_outcomes(passed=result.parseoutcomes()["passed"])
    for case in ("memit", "memit-b2", "alphaedit", "alphaedit-b2"):
        (file,) = (checks.folder / "reports").rglob("observations.json")
        chains = json.loads(file.read_text(encoding="utf-8"))["chains"]
        (chain,) = (chain for chain in chains if chain["case"] == f"{case}-L0-1")
        assert chain["layer"] == [0, 1]
        (*_, last) = chain["edits"]
        assert last["batch"] == (2 if case.endswith("b2") else 1)
        assert last["facts"]
