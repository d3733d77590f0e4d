"""Sentences, one-shot prompts, and where the label words stand among the tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers_ import FAMILIES
from transformers import PreTrainedTokenizerBase

from editsuite.cards import tiny_model
from editsuite.cards.tiny import byte_tokenizer
from editsuite.errors import AbsentError, CapabilityError, MeasureError, OptionError
from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.saliency.places import tokenized
from editsuite.measures.saliency.sentences import LABELS, Sentence, builtin, read_sst2
from editsuite.measures.saliency.shots import ITEMS, builtin_shots, one_shot
from editsuite.measures.saliency.source import shots_of, why_no_saliency

# --- sentences ---------------------------------------------------------------------------------


def test_the_sentences_are_enough_balanced_and_their_own() -> None:
    sentences = builtin()
    assert len(sentences) >= 40
    assert len({s.id for s in sentences}) == len({s.text for s in sentences}) == len(sentences)
    assert len(set(Counter(s.label for s in sentences).values())) == 1
    for sentence in sentences:
        assert sentence.text == sentence.text.strip()
        assert re.fullmatch(r"[A-Z][ -~]+[.!]", sentence.text), sentence.id
        assert not any(label in sentence.text.lower() for label in LABELS), sentence.id


def sst2(folder: Path, lines: str) -> Path:
    file = folder / "sst2" / "dev.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(lines.encode())
    return folder


FINE = "sentence\tlabel\na joy . \t1\na bore .\t0\na joy . \t1\n"


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_sst2_is_read_as_glue_gives_it_out(tmp_path: Path, ends: str) -> None:
    found = read_sst2(sst2(tmp_path, FINE.replace("\n", ends)))
    assert [(s.text, s.label) for s in found] == [("a joy .", 1), ("a bore .", 0), ("a joy .", 1)]
    assert len({s.id for s in found}) == 3
    turned = read_sst2(sst2(tmp_path, "sentence\tlabel\na bore .\t0\na joy .\t1\n"))
    assert {s.id for s in turned} < {s.id for s in found}, "an id is the sentence's, not the line's"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("text\tlabel\nfine\t1\n", "line 1: is 'text\\tlabel', not the header sentence and label"),
        ("sentence\tlabel\nfine\n", "line 2: has 1 columns, not 2"),
        ("sentence\tlabel\nfine\t1\nbad\t2\n", "line 3: has the label '2', not 0 or 1"),
        ("sentence\tlabel\n \t1\n", "line 2: has an empty sentence"),
        ("sentence\tlabel\nfine\t1\ngood\t1\n", "have one label; both are needed"),
        ("\n", "is empty"),
    ],
)
def test_a_damaged_file_is_told_with_its_line(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(CapabilityError, match=re.escape(words)) as caught:
        read_sst2(sst2(tmp_path, lines))
    assert str(tmp_path) in str(caught.value)


def test_a_run_asks_sst2_where_there_is_a_folder(tmp_path: Path) -> None:
    assert shots_of(Choice()) == builtin_shots()
    assert why_no_saliency(Choice()) == ""
    absent = why_no_saliency(Choice(data=tmp_path))
    assert absent.startswith(f"sst2: {tmp_path}")
    assert "a folder that holds sst2/dev.tsv" in why_no_saliency(Choice(data=Path("hub")))
    with pytest.raises(AbsentError, match="sst2: hub"):
        shots_of(Choice(data=Path("hub")))
    lines = "".join(f"sentence {i} .\t{i % 2}\n" for i in range(20))
    sst2(tmp_path, f"sentence\tlabel\n{lines}")
    assert why_no_saliency(Choice(data=tmp_path)) == ""
    assert len(shots_of(Choice(data=tmp_path, items=6))) == 6
    assert len(shots_of(Choice(data=tmp_path, items="all"))) == 20
    sst2(tmp_path, "spoilt")
    with pytest.raises(CapabilityError, match="header"):
        why_no_saliency(Choice(data=tmp_path))


# --- prompts -----------------------------------------------------------------------------------

SENTENCES = tuple(Sentence(f"s{i}", f"text {i}", i % 2) for i in range(12))


def test_a_prompt_is_the_template_of_wang_et_al() -> None:
    good, fine, bad = (
        Sentence("g", "Good.", 1),
        Sentence("f", "Fine!", 1),
        Sentence("b", "Bad", 0),
    )
    shots = {s.id: s for s in one_shot((good, fine, bad, Sentence("w", "Worse", 0)), "all")}
    (shot,) = (s for s in shots.values() if s.id == "g")
    assert shot.label == 1
    first, second = shot.text.split("\nReview: ")[:2]
    assert {first, f"Review: {second}"} in (
        {"Review: Fine!\nSentiment: positive", f"Review: {other}\nSentiment: negative"}
        for other in ("Bad", "Worse")
    )
    assert shot.text.endswith("\nReview: Good.\nSentiment:")


@settings(max_examples=40)
@given(st.permutations(SENTENCES), st.integers(1, 12), st.integers(0, 50))
def test_the_choice_hangs_on_ids_and_seed_alone(
    turned: list[Sentence], wanted: int, seed: int
) -> None:
    chosen = one_shot(SENTENCES, wanted, seed)
    assert one_shot(turned, wanted, seed) == chosen
    assert set(chosen) <= set(one_shot(SENTENCES, "all", seed))
    counts = Counter(shot.label for shot in chosen)
    assert abs(counts[0] - counts[1]) <= 1


@settings(max_examples=20)
@given(st.integers(0, 50))
def test_demonstrations_are_one_of_each_label_and_never_the_asked(seed: int) -> None:
    known = {s.text: s for s in SENTENCES}
    for shot in one_shot(SENTENCES, "all", seed):
        *shown, asked = re.findall(r"Review: (.*)\nSentiment:", shot.text)
        assert known[asked].id == shot.id
        assert asked not in shown
        assert sorted(known[text].label for text in shown) == [0, 1]
        assert [known[text].label for text in shown] == [label for _, label in shot.words]
        for span, label in shot.words:
            assert shot.text[span.start : span.stop] == LABELS[label]


def test_which_label_comes_first_is_balanced_within_each_label() -> None:
    firsts = Counter((shot.label, shot.words[0][1]) for shot in builtin_shots())
    assert len(builtin_shots()) == ITEMS
    assert set(firsts.values()) == {ITEMS // 4}


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(MeasureError, match="two or more sentences that are positive, got 1"):
        one_shot([*SENTENCES[::2], SENTENCES[1]], 4)
    with pytest.raises(OptionError, match="0 items cannot be asked"):
        one_shot(SENTENCES, 0)


# --- places ------------------------------------------------------------------------------------


def found_by_context(ids: tuple[int, ...], labels: tuple[int, ...]) -> list[int]:
    """As Wang et al. find them: a label's token behind the tokens that stand at the target."""
    before = ids[-3:]
    return [i for i, token in enumerate(ids) if token in labels and ids[i - 3 : i] == before]


@pytest.mark.parametrize("make", FAMILIES.values(), ids=list(FAMILIES))
def test_label_words_are_found_or_the_tokenizer_is_refused(
    make: Callable[[], PreTrainedTokenizerBase],
) -> None:
    tokenizer: Any = make()
    refused = 0
    for shot in builtin_shots():
        try:
            prompt = tokenized(tokenizer, shot)
        except MeasureError:
            refused += 1
            continue
        assert list(prompt.places) == found_by_context(prompt.ids, prompt.labels), shot.id
        assert [prompt.ids[p] for p in prompt.places] == [prompt.labels[y] for _, y in shot.words]
        assert prompt.right == shot.label
        for label, word in enumerate(LABELS):
            whole = tuple(tokenizer(f"{shot.text} {word}")["input_ids"])
            assert whole[: len(prompt.ids) + 1] == (*prompt.ids, prompt.labels[label])
    assert refused in (0, ITEMS)
    assert (refused == ITEMS) == (not tokenizer.is_fast)


def test_a_word_of_one_token_leaves_the_prompt_as_it_is() -> None:
    tokenizer: Any = FAMILIES["smollm2"]()
    for shot in builtin_shots():
        prompt = tokenized(tokenizer, shot)
        assert list(prompt.ids) == tokenizer(shot.text)["input_ids"]
        assert tokenizer.convert_ids_to_tokens(list(prompt.labels)) == ["Ġnegative", "Ġpositive"]


def test_a_word_of_letters_is_told_apart_by_its_first_one() -> None:
    shot = builtin_shots()[0]
    prompt = tokenized(byte_tokenizer(), shot)
    assert bytes(prompt.labels[:1]) != bytes(prompt.labels[1:])
    assert len(prompt.ids) == len(shot.text) + 1, "the blank is the same in both"
    assert prompt.places == tuple(span.start for span, _ in shot.words)


def test_the_prompts_fit_the_shortest_context_of_the_tests() -> None:
    loaded = tiny_model("gpt2")
    assert all(
        len(tokenized(loaded.tokenizer, shot).ids) <= loaded.card.context_length
        for shot in builtin_shots()
    )


class Odd:
    """A fast tokenizer of characters that writes some strings as one token."""

    is_fast = True

    def __init__(self, *merged: str) -> None:
        self.pattern = re.compile("|".join([*map(re.escape, merged), r"(?s:.)"]))

    def __call__(self, text: str, **_: object) -> dict[str, list[Any]]:
        pieces = [(m[0], m.span()) for m in self.pattern.finditer(text)]
        ids = [int.from_bytes(piece.encode()) % 10**9 for piece, _ in pieces]
        return {"input_ids": ids, "offset_mapping": [span for _, span in pieces]}


@pytest.mark.parametrize(
    ("merged", "words"),
    [
        (("positive\n",), "'positive' shares a token with what stands beside it"),
        ((": positive", ": negative"), "'negative' shares a token with what stands beside it"),
        (("negative\nR",), "'negative' shares a token"),
    ],
)
def test_a_label_word_that_is_split_oddly_is_refused(merged: tuple[str, ...], words: str) -> None:
    shot = builtin_shots()[0]
    with pytest.raises(MeasureError, match=words) as caught:
        tokenized(Odd(*merged), shot)  # type: ignore[arg-type]
    assert shot.id in str(caught.value)
    assert tokenized(Odd(" positive", " negative"), shot).places  # type: ignore[arg-type]


def test_label_words_must_differ_and_be_the_same_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shot = builtin_shots()[0]

    class Blind(Odd):
        def __call__(self, text: str, **_: object) -> dict[str, list[Any]]:
            found = super().__call__(text)
            return {**found, "input_ids": [1] * len(found["input_ids"])}

    with pytest.raises(MeasureError, match="do not tell its words apart"):
        tokenized(Blind(" positive", " negative"), shot)  # type: ignore[arg-type]

    class Moody(Odd):
        def __call__(self, text: str, **_: object) -> dict[str, list[Any]]:
            found = super().__call__(text)
            last = max(i for i, (_, end) in enumerate(found["offset_mapping"]) if end == len(text))
            found["input_ids"][last] += 1
            return found

    with pytest.raises(MeasureError, match="is not the same tokens wherever it stands"):
        tokenized(Moody(" positive", " negative"), shot)  # type: ignore[arg-type]
