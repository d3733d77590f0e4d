"""The judge of a run: the model without its edits, or another; asked once for the same texts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chains_ import bits
from checks_ import tiny_settings
from filelock import FileLock, Timeout

from editsuite.cards import LoadedModel, tiny_model
from editsuite.engine import DecoderStack
from editsuite.errors import OptionError
from editsuite.measures import Answers, Look
from editsuite.measures.questions import Questions
from editsuite.runs import Case, Run, RunSettings, Wanted
from editsuite.runs.ahead import work_ahead
from editsuite.runs.settings import judge_card

ONE, TWO = Case("rome_noc", (1,)), Case("rome_noc", (2,))
WRITES, JUDGES = Look(2), Look(2, judged=True)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Answers:
    measure = Answers(Questions(("a", "b"), ("Why is it dark?", "What is heavy?")))
    monkeypatch.setattr("editsuite.measures.known.Answers", lambda: measure)
    return measure


@pytest.fixture
def settings(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> RunSettings:
    return tiny_settings(tmp_path, tmp_path_factory)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another tiny model, of another architecture and with other weights."""
    folder = tmp_path_factory.mktemp("judges") / "other"
    tiny = tiny_model("gpt2", 9)
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[DecoderStack]:
    """Who was asked to judge, in turn."""
    asked: list[DecoderStack] = []
    judge = Answers.judge

    def noted(self: Answers, stack: DecoderStack, seen: Any) -> Any:
        asked.append(stack)
        return judge(self, stack, seen)

    monkeypatch.setattr(Answers, "judge", noted)
    return asked


def values(run: Run, case: Case, edits: int) -> dict[str, float]:
    return {o.name: o.value for o in run.observe(case, edits, ["answers"])}


def unedited(settings: RunSettings, folder: str | Path) -> LoadedModel:
    """A model of its own, that no run ever touched."""
    return Run(replace(settings, model=str(folder))).stack.loaded


def test_the_unedited_model_judges_what_the_edited_one_writes(
    settings: RunSettings, few: Answers
) -> None:
    run = Run(settings)
    found = values(run, ONE, 2)
    run.ensure(ONE, 2)
    measure = run.measures["answers"]
    texts, said = run.take(ONE, measure, WRITES), run.take(ONE, measure, JUDGES)
    apart = DecoderStack(unedited(settings, settings.model))
    assert few.judge(apart, texts) == said
    # The edited model itself would say something else.
    chain = run.chain(ONE)
    run.free(chain)
    chain.go(2)
    assert few.judge(run.stack, texts)["nll"] != said["nll"]
    run.free(None)
    assert bits(run.stack.loaded) == bits(apart.loaded)
    assert found["perplexity.answers"] >= found["perplexity.answers_plain"] > 1


def test_another_model_judges_where_it_is_named(
    settings: RunSettings, other: Path, few: Answers, judged: list[DecoderStack]
) -> None:
    own = values(Run(settings), ONE, 2)
    run = Run(replace(settings, judge=str(other)))
    found = values(run, ONE, 2)
    assert found["perplexity.answers_plain"] != own["perplexity.answers_plain"]
    measure = run.measures["answers"]
    texts, said = run.take(ONE, measure, WRITES), run.take(ONE, measure, JUDGES)
    assert few.judge(DecoderStack(unedited(settings, other)), texts) == said
    assert judged[1] is run.judge.stack
    assert judged[1].loaded.card.architecture == "gpt2"


def test_texts_are_written_once_for_all_judges(
    settings: RunSettings, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values(Run(settings), ONE, 1)

    def refuse(*_: object) -> None:
        raise AssertionError("written twice")

    monkeypatch.setattr(Answers, "look", refuse)
    assert math.isfinite(
        values(Run(replace(settings, judge=str(other))), ONE, 1)["perplexity.answers"]
    )


def test_equal_texts_are_judged_once_and_a_second_run_asks_nobody(
    settings: RunSettings, judged: list[DecoderStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    same = {"ids": ["a", "b"], "texts": [" It is dark because of it", " Stones are very heavy."]}
    monkeypatch.setattr(Answers, "look", lambda *_: same)
    run = Run(settings)
    found = [values(run, case, edits) for case in (ONE, TWO) for edits in (1, 2)]
    assert len(judged) == 1
    assert all(one == found[0] for one in found)
    assert values(Run(settings), TWO, 2) == found[0]
    assert len(judged) == 1


def test_naming_the_model_itself_is_naming_none(settings: RunSettings) -> None:
    own = Run(replace(settings, judge=settings.model))
    assert own.judge.stack is own.stack
    assert own.judge.is_own
    assert list(own.judge.weights()) == []
    assert values(own, ONE, 1) == values(Run(settings), ONE, 1)


def test_a_judge_of_its_own_counts_as_memory(settings: RunSettings, other: Path) -> None:
    run = Run(replace(settings, judge=str(other)))
    run.ensure(ONE, 1)
    before = run.memory().weights
    parameters = {p.data_ptr(): p for p in run.judge.stack.loaded.model.parameters()}
    assert run.memory().weights == before + sum(p.numel() * 4 for p in parameters.values())


def test_a_judge_that_is_none_is_told_by_its_option(settings: RunSettings) -> None:
    assert judge_card(settings) is None
    with pytest.raises(OptionError, match="--edit-judge no-such-model"):
        judge_card(replace(settings, judge="no-such-model"))


def test_neither_order_nor_company_of_looks_changes_what_is_said(
    settings: RunSettings, tmp_path: Path
) -> None:
    forth, back = Run(settings), Run(replace(settings, cache=tmp_path / "back"))
    places = [(case, edits) for case in (ONE, TWO) for edits in (1, 2)]
    names = ["parameters", "answers"]
    first = {place: forth.observe(*place, names) for place in places}
    for place in places[::-1]:
        again = {o.name: o for o in back.observe(*place, names[::-1])}
        assert again == {o.name: o for o in first[place]}


def test_who_waits_writes_and_judges_ahead(
    settings: RunSettings, judged: list[DecoderStack]
) -> None:
    run = Run(settings)
    run.agenda = [Wanted(ONE, 1, "answers")]
    run.ensure(ONE, 1)
    assert work_ahead(run)
    assert not judged
    assert work_ahead(run)
    assert len(judged) == 1
    assert not work_ahead(run)


def test_nobody_judges_what_another_process_is_writing(settings: RunSettings) -> None:
    run = Run(settings)
    run.agenda = [Wanted(ONE, 1, "answers")]
    run.ensure(ONE, 1)
    measure = run.measures["answers"]
    key = run.key(ONE, measure, Look(1))
    with FileLock(run._store.lock(key).lock_file), pytest.raises(Timeout):
        run.take(ONE, measure, Look(1, judged=True))
    with FileLock(run._store.lock(key).lock_file):
        assert not work_ahead(run)
    assert work_ahead(run)


def test_a_codebook_is_out_while_the_judge_reads(settings: RunSettings) -> None:
    """GRACE's adapter answers for its facts; the judge is the model without it."""
    book = Case("grace", (1,))
    run = Run(settings)
    found = values(run, book, 2)
    measure = run.measures["answers"]
    texts, said = run.take(book, measure, WRITES), run.take(book, measure, JUDGES)
    apart = DecoderStack(unedited(settings, settings.model))
    assert Answers.judge(measure, apart, texts) == said  # type: ignore[arg-type]
    assert math.isfinite(found["perplexity.answers"])
