"""WikiText is read as it stands, and its perplexity is transformers' own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets_ import dataset_file
from hypothesis import given
from hypothesis import strategies as st
from tokenizers_ import FAMILIES

from editsuite.cards import tiny_model
from editsuite.cards.tiny import byte_tokenizer
from editsuite.engine import DecoderStack
from editsuite.errors import MeasureError, OptionError
from editsuite.measures import Look, Perplexity, View, wikitext
from editsuite.measures.texts import LENGTH, TextChoice, Texts, load_texts, plain_tokens, prose

pytestmark = pytest.mark.usefixtures("one_thread")

BYTES = byte_tokenizer()
LONG = [" ".join(f"w{n}-{i}" for i in range(LENGTH + n)) for n in range(5)]


def lines(found: list[str]) -> str:
    """A file as WikiText's are: headings, blank lines, a short paragraph, blanks at both ends."""
    text = " \n = Lobster = \n \n = = Of its claws = = \n \n Too short a paragraph . \n"
    return text + "".join(f" {one} \n" for one in found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "valid.txt").write_text(lines(LONG[:2]), encoding="utf-8")
    (tmp_path / "wiki.test.raw").write_text(lines(LONG[2:]), encoding="utf-8")
    (tmp_path / "train.txt").write_text(lines(["train " * LENGTH]), encoding="utf-8")
    return tmp_path


def choice(path: Path, items: Any = "all") -> TextChoice:
    return TextChoice(f"wikitext:{path}", items)


# --- reading -----------------------------------------------------------------------------------


def test_long_paragraphs_of_both_sets_are_read_whatever_the_files_are_called(folder: Path) -> None:
    assert wikitext.read(folder, LENGTH) == LONG
    found = load_texts(choice(folder))
    assert (found.name, found.length) == ("text", LENGTH)
    assert sorted(found.passages) == sorted(LONG)
    assert sorted(load_texts(choice(folder / "wiki.test.raw")).passages) == sorted(LONG[2:])


def test_one_set_is_read_once_where_it_lies_in_both_forms(folder: Path) -> None:
    (folder / "wiki.valid.raw").write_text(lines(LONG), encoding="utf-8")
    assert wikitext.read(folder, LENGTH) == LONG


def test_a_heading_is_none_however_long_and_a_paragraph_may_hold_the_sign() -> None:
    heading = "= " + "word " * LENGTH + "="
    formula = "x = y " * LENGTH
    assert wikitext.paragraphs([heading, formula, "", " \n"], LENGTH) == [formula.strip()]


def test_the_choice_is_the_start_of_any_larger_one_and_knows_no_order(folder: Path) -> None:
    every = load_texts(choice(folder)).passages
    for n in range(1, 6):
        assert load_texts(choice(folder, n)).passages == every[:n]
    assert load_texts(choice(folder, 1000)).passages == every
    (folder / "valid.txt").write_text(lines(LONG[1::-1]), encoding="utf-8")
    assert load_texts(choice(folder)).passages == every


def test_the_prose_is_whole_whatever_number_is_asked() -> None:
    found = load_texts(TextChoice("builtin", 3))
    assert (found.name, found.passages, found.length) == ("prose", prose(), None)
    assert not TextChoice(" builtin ").named


@pytest.mark.parametrize("source", ["wikitext2", "wikitext:", "prose", "", "c4:path"])
def test_an_unknown_source_is_told_with_the_known_ones(source: str) -> None:
    with pytest.raises(OptionError, match=r"builtin, wikitext, wikitext:PATH"):
        load_texts(TextChoice(source))


def test_what_cannot_be_read_is_told_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match=r"holds none of WikiText's files.*wiki\.test\.raw"):
        load_texts(choice(tmp_path))
    with pytest.raises(MeasureError, match="absent holds none"):
        load_texts(choice(tmp_path / "absent"))
    (tmp_path / "valid.txt").write_text(lines([]), encoding="utf-8")
    with pytest.raises(MeasureError, match=r"valid\.txt: no line has 128 words"):
        load_texts(choice(tmp_path))
    (tmp_path / "test.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MeasureError, match=r"test\.txt cannot be read as WikiText"):
        load_texts(choice(tmp_path))


def test_the_real_files_hold_more_than_the_papers_thousand() -> None:
    folder = dataset_file("wikitext2", "valid.txt").parent
    found = wikitext.read(folder, LENGTH)
    assert len(found) == len(set(found)) == 1493
    assert not any(one.startswith("= ") for one in found)
    assert any("<unk>" in one for one in found)
    assert len(load_texts(choice(folder, 1000)).passages) == 1000


# --- the hub -----------------------------------------------------------------------------------


def test_the_hub_is_asked_for_two_files_at_one_revision(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def load(repository: str, **how: Any) -> Mapping[str, Any]:
        asked.append((repository, how))
        files = {"validation": folder / "valid.txt", "test": folder / "wiki.test.raw"}
        return {
            split: [{"text": f"{line}\n"} for line in file.read_text("utf-8").split("\n")]
            for split, file in files.items()
        }

    hub(monkeypatch, load)
    assert load_texts(TextChoice("wikitext", "all")) == load_texts(choice(folder))
    ((repository, how),) = asked
    assert repository == "Salesforce/wikitext"
    assert len(how["revision"]) == 40
    assert set(how["data_files"]) == {"validation", "test"}
    assert all("wikitext-103-raw-v1/" in name for name in how["data_files"].values())


def test_a_hub_out_of_reach_is_told_with_a_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    hub(monkeypatch, load)
    with pytest.raises(MeasureError, match=r"ConnectionError.*wikitext:PATH"):
        load_texts(TextChoice("wikitext"))

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("editsuite.measures.wikitext.importlib.import_module", absent)
    with pytest.raises(MeasureError, match=r"pip install datasets"):
        load_texts(TextChoice("wikitext"))


def hub(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    library = SimpleNamespace(load_dataset=load)
    monkeypatch.setattr(
        "editsuite.measures.wikitext.importlib", SimpleNamespace(import_module=lambda _: library)
    )


# --- tokens and perplexity ---------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_foreign_text_holds_no_special_token_but_in_front(family: str) -> None:
    tokenizer: Any = FAMILIES[family]()
    marks = set(tokenizer.all_special_ids)
    plain = tokenizer("the book was written")["input_ids"]
    front = [one for one in plain[:1] if one in marks]
    text = "the book <unk> was <s> written </s> <|endoftext|>"
    ids = list(plain_tokens(tokenizer, text))
    assert ids[: len(front)] == front
    # A tokenizer without letters for the signs has only its unknown token to write.
    within = (set(ids[len(front) :]) & marks) - {tokenizer.unk_token_id}
    # A Unigram vocabulary has its marks among the pieces of which any text is made.
    assert not within or "unigram" in family


@given(st.text(min_size=1, max_size=60))
def test_plain_tokens_are_the_tokenizers_where_no_mark_is_written(text: str) -> None:
    tokenizer: Any = BYTES
    assert list(plain_tokens(tokenizer, text)) == tokenizer(text)["input_ids"]


@pytest.mark.parametrize("double", [False, True])
def test_the_perplexity_of_sequences_is_transformers_loss(double: bool) -> None:
    loaded = tiny_model("llama", 71)
    texts = Texts("text", ("Long enough to be cut off here.", "And this, too, is cut."), 16)
    measure = Perplexity(texts)
    seen = measure.look(View(DecoderStack(loaded), (), {}))
    assert seen["tokens"] == [15, 15]
    model: Any = loaded.model.double() if double else loaded.model
    for text, nll in zip(texts.passages, seen["nll"], strict=True):
        ids = torch.tensor([loaded.tokenizer(text)["input_ids"][:16]])
        with torch.no_grad():
            loss = float(model(input_ids=ids, labels=ids).loss)
        assert nll == pytest.approx(loss * 15, rel=1e-5)
    state, ratio = measure.observe(1, {Look(0): seen, Look(1): seen})
    assert (state.name, ratio.name) == ("perplexity.text", "perplexity.text_ratio")
    assert state.value == pytest.approx(math.exp(math.fsum(seen["nll"]) / 30))
    assert (state.n, ratio.value) == (30, 1.0)


def test_other_texts_are_another_identity() -> None:
    some = [
        Perplexity(),
        Perplexity(Texts("text", ("a b",), 16)),
        Perplexity(Texts("text", ("a b",), 17)),
        Perplexity(Texts("text", ("a c",), 16)),
    ]
    assert len({one.identity for one in some}) == 4


def test_a_perplexity_beyond_all_floats_is_infinite() -> None:
    measure = Perplexity(Texts("text", ("a", "b")))
    sane = {"nll": [20.0, 30.0], "tokens": [10, 10]}
    for nll, value in (([1e4, 30.0], math.exp(501.5)), ([1e9, 30.0], math.inf)):
        after = {"nll": nll, "tokens": [10, 10]}
        state, ratio = measure.observe(1, {Look(0): sane, Look(1): after})
        assert state.value == pytest.approx(value)
        assert ratio.value > 1e100
    lost = {"nll": [math.inf, 30.0], "tokens": [10, 10]}
    state, ratio = measure.observe(1, {Look(0): sane, Look(1): lost})
    assert (state.value, state.low, state.high) == (math.inf, 0.0, math.inf)
    assert ratio.value == math.inf
    nothing = {"nll": [math.nan, 30.0], "tokens": [10, 10]}
    assert all(math.isnan(o.value) for o in measure.observe(1, {Look(0): sane, Look(1): nothing}))
