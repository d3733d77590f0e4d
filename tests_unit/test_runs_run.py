"""A run with two chains on one tiny model: what it does while it waits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from checks_ import tiny_settings
from filelock import FileLock

from editsuite.editors.rome import BoundRome
from editsuite.measures import measures
from editsuite.runs import Case, Run, RunSettings, Wanted
from editsuite.runs.ahead import work_ahead

ONE, TWO = Case("rome_noc", (1,)), Case("rome_noc", (2,))


@pytest.fixture
def settings(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> RunSettings:
    return tiny_settings(tmp_path, tmp_path_factory)


def lock_of(run: Run, case: Case) -> FileLock:
    """The lock that another process would hold while it edits."""
    journal = run.chain(case).journal
    journal.open()
    return FileLock(journal.folder / "edit.lock")


def test_who_waits_looks_at_what_is_ready_and_edits_elsewhere(settings: RunSettings) -> None:
    run = Run(settings)
    run.agenda = [Wanted(c, n, "parameters") for n in (1, 2) for c in (ONE, TWO)]
    run.ensure(ONE, 1)
    with lock_of(run, ONE):
        assert work_ahead(run, besides=ONE)  # the look at what is kept already
        assert run.chain(TWO).sound() == 0
        assert work_ahead(run, besides=ONE)  # nothing to look at: an edit of the other chain
        assert run.chain(TWO).sound() == 1
        while work_ahead(run, besides=ONE):
            pass
    assert (run.chain(ONE).sound(), run.chain(TWO).sound()) == (1, 2)
    assert work_ahead(run)
    assert run.chain(ONE).sound() == 2


def test_nothing_is_edited_beyond_the_agenda(settings: RunSettings) -> None:
    run = Run(settings)
    run.agenda = [Wanted(ONE, 2, "parameters")]
    while work_ahead(run):
        pass
    chain = run.chain(ONE)
    assert chain.sound() == 2
    assert not chain.try_one(limit=2)
    assert chain.sound() == 2


def test_waiting_leads_to_the_same_numbers(settings: RunSettings, tmp_path: Path) -> None:
    busy, plain = Run(settings), Run(replace(settings, cache=tmp_path / "plain"))
    names = ("recall.individual", "parameters")
    busy.agenda = [Wanted(c, n, name) for n in (2, 1) for c in (TWO, ONE) for name in names]
    while work_ahead(busy):
        pass
    for case in (ONE, TWO):
        for edits in (2, 1):
            assert busy.observe(case, edits, names) == plain.observe(case, edits, names)


def test_a_second_run_neither_edits_nor_looks(
    settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("recall.sequential", "locality", "parameters")
    first = Run(settings).observe(ONE, 2, names)

    def refuse(*_: object) -> None:
        raise AssertionError("done twice")

    monkeypatch.setattr(BoundRome, "edit", refuse)
    monkeypatch.setattr("editsuite.runs.store.LookStore.put", refuse)
    again = Run(settings)
    assert again.observe(ONE, 2, names) == first


def test_looks_are_the_same_from_any_chain_that_was_opened_first(
    settings: RunSettings, tmp_path: Path
) -> None:
    """The unedited model, seen by way of layer 1's kept states and by way of layer 2's."""
    found = []
    for case in (ONE, TWO):
        run = Run(replace(settings, cache=tmp_path / str(case)))
        look = measures()["perplexity"].looks(1)[0]
        run.ensure(case, 1)
        found.append(run.take(case, measures()["perplexity"], look))
    assert found[0] == found[1]


def test_memory_is_stated_by_what_it_is_for(settings: RunSettings) -> None:
    run = Run(settings)
    run.ensure(ONE, 1)
    matrix = run.stack.loaded.down_proj_weight(1)
    parameters = {p.data_ptr(): p for p in run.stack.loaded.model.parameters()}
    held = run.memory()
    assert held.originals == matrix.numel() * 4
    assert held.factors == sum(matrix.shape) * 4
    assert held.weights == sum(p.numel() * 4 for p in parameters.values())
    run.observe(ONE, 1, ["recall.sequential"])
    assert run.memory().resumed == 0  # nobody asks a fact of every state
    run.observe(ONE, 1, ["perplexity"])
    assert run.memory().resumed > 0
    assert held.peak > held.weights
    assert len(held.lines()) == 5


def test_a_codebook_and_edited_weights_take_turns_on_one_model(settings: RunSettings) -> None:
    """The codebook is out whenever another chain or the unedited model is looked at."""
    names = ["recall.sequential", "locality", "parameters"]
    book = Case("grace", (1,))
    alone = {o.name: o.value for o in Run(settings).observe(ONE, 2, names)}
    run = Run(replace(settings, cache=settings.cache.with_name("other")))
    first = run.observe(book, 1, names)
    assert {o.name: o.value for o in run.observe(ONE, 2, names)} == alone
    run.free(run.chain(book))
    later = run.observe(book, 2, names)
    run.free(None)
    assert run.stack.adapter is None
    for found in (first, later):
        values = {o.name: o.value for o in found}
        assert values["parameters.relative_drift"] == 0
        assert values["locality.generated"] == 1
    assert run.memory().originals < run.memory().weights
