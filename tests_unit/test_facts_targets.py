from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from editsuite.errors import FactError
from editsuite.facts import TokenizedTarget, subject_last_token, target_tokens
from editsuite.facts.targets import token_ids
from tests_unit.tokenizers_ import CORPUS, FAMILIES, byte_level_bpe, metaspace_bpe, wordpiece

LOSSLESS = {
    "smollm2",
    "slow-bytes",
    *(name for name in FAMILIES if name.endswith(("bpe", "loose"))),
}
"""Families that can write any text and give it back letter for letter."""

LETTERS = "".join(sorted(set("".join(CORPUS)) - {" ", "7"}))
"""Letters that every family knows; a 7 is kept for telling a subject from other words."""

WORD = st.text(LETTERS, min_size=1, max_size=8)
ANY_WORD = st.text(
    st.characters(codec="utf-8", exclude_categories=["Z", "C", "M"], exclude_characters="▁"),
    min_size=1,
    max_size=6,
).map(lambda text: unicodedata.normalize("NFC", text))


def phrase(word: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    return st.lists(word, min_size=1, max_size=most).map(" ".join)


@dataclass(frozen=True)
class Family:
    name: str
    tokenizer: PreTrainedTokenizerBase = field(repr=False)


PARAMETERS = [
    pytest.param(name, marks=[pytest.mark.real_model] if name == "smollm2" else [])
    for name in sorted(FAMILIES)
]


@pytest.fixture(scope="module", params=PARAMETERS)
def family(request: pytest.FixtureRequest) -> Family:
    return Family(request.param, FAMILIES[request.param]())


def written(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))


def squash(text: str) -> str:
    """The text without what normalizers and decoders may change: case, accents, spaces."""
    parts = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in parts if not c.isspace() and not unicodedata.combining(c))


def marks(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    named = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    named |= {tokenizer.cls_token_id, tokenizer.sep_token_id}
    return {mark for mark in named if mark is not None}


@settings(max_examples=60, deadline=None)
@given(prompt=phrase(WORD, 6), target=phrase(WORD, 3))
def test_context_and_target_are_the_whole_text(family: Family, prompt: str, target: str) -> None:
    name, tokenizer = family.name, family.tokenizer
    split = target_tokens(tokenizer, prompt, target)
    assert split.target_ids
    assert split.text == f"{prompt} {target}"
    assert split.ids == token_ids(tokenizer, split.text)
    assert squash(written(tokenizer, split.ids)) == squash(split.text)
    if name in LOSSLESS:
        assert written(tokenizer, split.ids) == split.text


@settings(max_examples=40, deadline=None)
@given(prompt=phrase(ANY_WORD, 4), target=phrase(ANY_WORD, 2))
def test_any_script_comes_back_from_a_lossless_tokenizer(
    family: Family, prompt: str, target: str
) -> None:
    name, tokenizer = family.name, family.tokenizer
    if name not in LOSSLESS:
        pytest.skip(f"{name} has no token for some letters")
    assume(not any(mark in f"{prompt} {target}" for mark in tokenizer.all_special_tokens))
    split = target_tokens(tokenizer, prompt, target)
    assert written(tokenizer, split.ids) == split.text


@settings(max_examples=60, deadline=None)
@given(prompt=phrase(WORD, 6), target=phrase(WORD, 3))
def test_the_target_is_written_by_the_target_ids(family: Family, prompt: str, target: str) -> None:
    name, tokenizer = family.name, family.tokenizer
    split = target_tokens(tokenizer, prompt, target)
    answer = squash(written(tokenizer, split.target_ids))
    if name == "spanning-bpe":
        # A token over the space before the target belongs to it, with what it holds of the prompt.
        assert answer.endswith(squash(target))
    else:
        assert answer == squash(target)


@settings(max_examples=60, deadline=None)
@given(prompt=phrase(WORD, 6), target=phrase(WORD, 3))
def test_marks_stand_in_front_only_and_once(family: Family, prompt: str, target: str) -> None:
    tokenizer = family.tokenizer
    split = target_tokens(tokenizer, prompt, target)
    front = [index for index, token in enumerate(split.ids) if token in marks(tokenizer)]
    assert front in ([], [0])
    assert not marks(tokenizer) & set(split.target_ids)


@settings(max_examples=40, deadline=None)
@given(
    prompt=phrase(WORD, 4),
    target=phrase(WORD, 2),
    space=st.sampled_from(["", " ", "  ", "\n", "\t "]),
)
def test_white_space_at_the_joint_makes_no_difference(
    family: Family, prompt: str, target: str, space: str
) -> None:
    tokenizer = family.tokenizer
    plain = target_tokens(tokenizer, prompt, target)
    assert target_tokens(tokenizer, prompt + space, space + target + space) == plain


@settings(max_examples=60, deadline=None)
@given(prompt=phrase(WORD, 5), target=phrase(WORD, 3))
def test_the_context_is_the_prompt_as_it_is_tokenized_alone(
    family: Family, prompt: str, target: str
) -> None:
    alone = token_ids(family.tokenizer, prompt)
    context = target_tokens(family.tokenizer, prompt, target).context_ids
    if family.name == "spanning-bpe":
        # Its tokens run over the space before the target: those belong to the target.
        assert context == alone[: len(context)]
    else:
        assert context == alone


@settings(max_examples=80, deadline=None)
@given(before=st.lists(WORD, max_size=3), subject=phrase(WORD, 3), after=st.lists(WORD, max_size=3))
def test_the_last_subject_token_is_where_the_subject_becomes_complete(
    family: Family,
    before: list[str],
    subject: str,
    after: list[str],
) -> None:
    tokenizer = family.tokenizer
    subject = f"{subject}7"
    text = " ".join([*before, subject, *after])
    ids = token_ids(tokenizer, text)
    index = subject_last_token(tokenizer, text, subject)
    wanted = squash(" ".join([*before, subject]))
    assert squash(written(tokenizer, ids[: index + 1])).startswith(wanted)
    assert not squash(written(tokenizer, ids[:index])).startswith(wanted)


@pytest.mark.parametrize(
    ("text", "subject", "end"),
    [
        ("Kenya lies on the continent of", "Kenya", "Kenya"),
        ("Mount Kenya", "Mount Kenya", "Mount Kenya"),
        ("The Danube is the river, and the Danube flows", "Danube", "The Danube is the river, and"),
        ("Who wrote the author's book?", "author", "Who wrote the author"),
        ("Where does Zoë work? For Zoë's company", "Zoë", "Where does Zoë work? For Zoë"),
    ],
)
def test_subjects_at_the_edges_and_repeated(
    family: Family, text: str, subject: str, end: str
) -> None:
    tokenizer = family.tokenizer
    index = subject_last_token(tokenizer, text, subject)
    so_far = squash(written(tokenizer, token_ids(tokenizer, text)[: index + 1]))
    assert so_far.startswith(squash(end))
    assert squash(subject) in so_far[len(squash(end)) - len(squash(subject)) :]


def test_an_index_counts_the_front_mark() -> None:
    text = "Rome is the capital"
    with_front, without = metaspace_bpe(), byte_level_bpe()
    assert subject_last_token(with_front, text, "Rome") >= 1
    ids = list(token_ids(without, text))
    assert written(without, ids[: subject_last_token(without, text, "Rome") + 1]) == "Rome"


def test_offsets_with_and_without_the_space_give_the_same_index() -> None:
    text = "The capital of France is Paris"
    indices = {
        subject_last_token(byte_level_bpe(trim_offsets=trim), text, "France")
        for trim in (True, False)
    }
    assert len(indices) == 1


@pytest.mark.parametrize(("prompt", "target"), [("", "Rome"), (" ", "Rome"), ("Who?", " \n")])
def test_a_blank_prompt_or_target_is_an_error(prompt: str, target: str) -> None:
    with pytest.raises(FactError, match="is empty; give both some text"):
        target_tokens(byte_level_bpe(), prompt, target)


def test_a_target_that_the_tokenizer_drops_is_an_error() -> None:
    # BERT's normalizer deletes control characters: nothing is left to teach.
    with pytest.raises(FactError, match=r"gives no token in .*choose"):
        target_tokens(wordpiece(), "The capital of Italy is", "\x01")
    with pytest.raises(FactError, match="gives no token for the subject"):
        subject_last_token(wordpiece(), "The \x01 of Italy", "\x01")


@pytest.mark.parametrize(("make", "mark"), [(metaspace_bpe, "<s>"), (wordpiece, "[SEP]")])
def test_a_mark_of_the_tokenizer_is_no_target(
    make: Callable[[], PreTrainedTokenizerBase], mark: str
) -> None:
    with pytest.raises(FactError, match=f"special token {re.escape(mark)}; choose"):
        target_tokens(make(), "The capital of Italy is", f"Rome {mark}")


def test_a_target_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(FactError, match=r"special token \[UNK\]"):
        target_tokens(wordpiece(), "The capital of Italy is", "ᚱᚢᚾ")


def test_braces_and_marks_written_out_are_plain_text() -> None:
    tokenizer = byte_level_bpe()
    split = target_tokens(tokenizer, "In {0} the {subject} of {} is", "{target}")
    assert written(tokenizer, split.target_ids) == " {target}"
    index = subject_last_token(tokenizer, "In {} the {subject} is", "{subject}")
    assert written(tokenizer, token_ids(tokenizer, "In {} the {subject} is")[: index + 1]).endswith(
        "{subject}"
    )


def test_the_result_is_a_value() -> None:
    one = target_tokens(byte_level_bpe(), "Rome is in", "Italy")
    assert one == TokenizedTarget(one.context_ids, one.target_ids, one.text)
    assert hash(one) == hash(TokenizedTarget(one.context_ids, one.target_ids, one.text))
    assert isinstance(FAMILIES, MappingProxyType)
