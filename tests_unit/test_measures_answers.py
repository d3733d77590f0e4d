"""Free answers and their judge, against transformers' own generation and loss, and by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from capabilities_ import commonsense_qa
from tokenizers_ import FAMILIES

from editsuite.cards import LoadedModel, tiny_model
from editsuite.engine import DecoderStack
from editsuite.errors import AbsentError
from editsuite.measures import Answers, Look, Observation, View
from editsuite.measures.answers import SCORED, WRITTEN, _answer
from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.questions import Questions, answered, builtin_questions, questions_of

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = Questions(("a", "b", "c"), ("Why is it dark?", "Who is there? ", "What is heavy, and why?"))
STATE = 3
WRITES, JUDGES = Look(STATE), Look(STATE, judged=True)


def written(texts: Sequence[str]) -> dict[str, Any]:
    return {"ids": [str(i) for i in range(len(texts))], "texts": list(texts)}


def asked(number: int) -> Questions:
    names = tuple(f"q{i}" for i in range(number))
    return Questions(names, tuple(f"Is this number {i}?" for i in range(number)))


@torch.no_grad()
def loss_of_answer(loaded: LoadedModel, question: str, text: str) -> tuple[float, list[int]]:
    """transformers' own loss, summed over the answer's first tokens, and these."""
    tokenizer: Any = loaded.tokenizer
    before = tokenizer(f"Question: {question.strip()}\nAnswer:")["input_ids"]
    whole = tokenizer(f"Question: {question.strip()}\nAnswer:{text}")["input_ids"]
    assert whole[: len(before)] == before
    ids = whole[: len(before) + SCORED]
    labels = [-100] * len(before) + ids[len(before) :]
    model: Any = loaded.model
    loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
    return float(loss) * SCORED, ids[len(before) :]


# --- the judge ---------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
@pytest.mark.parametrize(("double", "rel"), [(False, 1e-5), (True, 1e-5)])
def test_the_judge_says_what_transformers_loss_says(
    architecture: str, double: bool, rel: float
) -> None:
    """The suite's float32 beside transformers in float32 and in float64."""
    loaded = tiny_model(architecture, 61)
    texts = [" It is dark because the sun has set.", " Nobody at all is there, I think", "!" * 40]
    found = Answers(FEW).judge(DecoderStack(loaded), written(texts))
    if double:
        loaded.model.double()
    for question, text, n, nll, repeated in zip(
        FEW.texts, texts, found["tokens"], found["nll"], found["repetition"], strict=True
    ):
        loss, tokens = loss_of_answer(loaded, question, text)
        assert n == len(text)  # the tokenizer of tiny models has a token for each byte
        assert nll == pytest.approx(loss, rel=rel)
        grams = [tuple(tokens[i : i + 4]) for i in range(17)]
        assert repeated == pytest.approx(1 - len(set(grams)) / 17, abs=1e-15)
    assert found["repetition"][2] == 16 / 17


def test_only_the_first_twenty_tokens_count() -> None:
    stack = DecoderStack(tiny_model("llama", 62))
    start = " It is dark at night"
    assert len(start) == SCORED
    ends = ["", " because the sun", "!" * 30]
    found = Answers(FEW).judge(stack, written([start + end for end in ends]))
    again = Answers(Questions(FEW.ids, FEW.texts[:1] * 3)).judge(
        stack, written([start + end for end in ends])
    )
    assert found["tokens"] == [20, 36, 50]
    assert len(set(again["repetition"])) == 1
    assert again["nll"] == pytest.approx([again["nll"][0]] * 3, rel=1e-6)


def test_short_blank_and_long_answers_are_told_apart() -> None:
    stack = DecoderStack(tiny_model("llama", 63))
    texts = ["", " \n\n" * 20, "x" * 19, "x" * 20, "x" * 21]
    found = Answers(asked(5)).judge(stack, written(texts))
    assert found["tokens"] == [0, 0, 19, 20, 21]
    assert [nll is None for nll in found["nll"]] == [True, True, True, False, False]
    assert [r is None for r in found["repetition"]] == [True, True, True, False, False]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", [" the book is in Paris", "\n\nQuestion", "Rome", ", <unk> </s>"])
def test_question_and_answer_are_one_text_in_every_tokenizer(family: str, text: str) -> None:
    """What is split comes together again, and the question's part holds nothing of the answer."""
    tokenizer = FAMILIES[family]()
    before = "Question: Which is the capital of Italy?\nAnswer:"
    context, target = _answer(tokenizer, before, text)
    alone = tokenizer(before)["input_ids"]
    assert context == tuple(alone[: len(context)])
    assert target
    whole = tokenizer(before + text, split_special_tokens=True)["input_ids"]
    assert (*context, *target) == tuple(whole[: len(context) + len(target)])
    if "<" not in text:
        assert not set(target) & (set(tokenizer.all_special_ids) - {tokenizer.unk_token_id})


def test_a_long_question_loses_its_beginning_and_not_its_answer() -> None:
    loaded = tiny_model("llama", 64)
    long = Questions(("a",), ("Why " * 100 + "is it dark?",))
    (nll,) = Answers(long).judge(DecoderStack(loaded), written([" It is dark because of it"]))[
        "nll"
    ]
    assert math.isfinite(nll)
    look = Answers(long).look(View(DecoderStack(loaded), (), {}))
    assert len(look["texts"]) == 1


# --- what is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_what_is_written_is_transformers_greedy_text(architecture: str) -> None:
    loaded = tiny_model(architecture, 65, context_length=1024)
    seen = Answers(FEW).look(View(DecoderStack(loaded), (), {}))
    assert seen["ids"] == list(FEW.ids)
    model: Any = loaded.model
    tokenizer: Any = loaded.tokenizer
    for prompt, text in zip(FEW.asked, seen["texts"], strict=True):
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        mask = torch.ones_like(ids)
        out = model.generate(ids, attention_mask=mask, max_new_tokens=WRITTEN, do_sample=False)
        new = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        assert text == new


def test_answered_questions_stand_before_each_and_the_judge_does_not_see_them() -> None:
    shown = answered()
    assert len(shown) == 3
    for own, judged, question in zip(FEW.asked, FEW.judged, FEW.texts, strict=True):
        assert judged == f"Question: {question.strip()}\nAnswer:"
        assert own.endswith(judged)
        assert own.count("Question:") == 4
        assert all(q in own and a in own and q not in judged for q, a in shown)


def test_a_model_that_ends_at_once_has_written_nothing() -> None:
    loaded = tiny_model("gpt2", 66)
    always(loaded, loaded.tokenizer.eos_token_id)
    seen = Answers(FEW).look(View(DecoderStack(loaded), (), {}))
    assert seen["texts"] == ["", "", ""]


def test_a_model_that_says_one_thing_is_scored_with_the_whole_penalty() -> None:
    loaded = tiny_model("gpt2", 67)
    always(loaded, loaded.tokenizer("x")["input_ids"][0])
    seen = Answers(FEW).look(View(DecoderStack(loaded), (), {}))
    assert seen["texts"] == ["x" * WRITTEN] * 3
    judged = Answers(FEW).judge(DecoderStack(tiny_model("gpt2", 68)), seen)
    plain, adjusted = perplexities(observe([*judged["nll"]], judged["repetition"]))
    assert adjusted == pytest.approx(plain * math.exp(16 / 17), rel=1e-12)


def test_a_model_that_says_nan_has_written_nothing() -> None:
    loaded = tiny_model("llama", 69)
    loaded.down_proj_weight(1).data[:] = torch.nan
    seen = Answers(FEW).look(View(DecoderStack(loaded), (), {}))
    assert seen["texts"] == ["", "", ""]


def always(loaded: LoadedModel, token: int) -> None:
    """Have the head put one token above all others, whatever it reads."""
    weight = loaded.model.get_parameter("transformer.wte.weight")  # the head is tied to it
    norm: Any = loaded.module(loaded.family.final_norm)
    weight.data[token] = 0
    weight.data[token, 0] = 100.0
    norm.bias.data[0] = 100.0


# --- what is concluded -------------------------------------------------------------------------


def observe(nll: Sequence[float | None], repetition: Sequence[float | None]) -> list[Observation]:
    tokens = [20 if one is not None else 7 for one in nll]
    judged = {"tokens": tokens, "nll": list(nll), "repetition": list(repetition)}
    seen = {WRITES: written([""] * len(nll)), JUDGES: judged}
    return list(Answers(asked(len(nll))).observe(STATE, seen))


def perplexities(observations: Sequence[Observation]) -> tuple[float, float]:
    found = {o.name: o.value for o in observations}
    return found["perplexity.answers_plain"], found["perplexity.answers"]


def test_the_means_are_those_counted_by_hand() -> None:
    """Answers of perplexity 4 and 9, the second repeats itself wholly, one is too short."""
    nll = [20 * math.log(4), None, 20 * math.log(9)]
    plain, adjusted = perplexities(found := observe(nll, [0.0, None, 16 / 17]))
    assert plain == pytest.approx(6.0)
    assert adjusted == pytest.approx(math.sqrt(4 * 9 * math.exp(16 / 17)))
    n = {o.name: o.n for o in found}
    assert (n["perplexity.answers"], n["answers.short"]) == (2, 3)
    values = {o.name: o.value for o in found}
    assert values["answers.short"] == pytest.approx(1 / 3)
    assert values["answers.empty"] == 0


def test_the_interval_is_students_of_the_logarithms_up_to_its_quantile() -> None:
    """``mean +- z s / sqrt(k)`` over the answers' logarithms."""
    logs = torch.tensor([1.0, 1.5, 3.0, 0.5], dtype=torch.float64)
    found = observe([20 * float(x) for x in logs], [0.0] * 4)[0]
    far = 1.959963984540054 * float(logs.std()) / 2
    assert math.log(found.low) == pytest.approx(float(logs.mean()) - far)
    assert math.log(found.high) == pytest.approx(float(logs.mean()) + far)


def test_where_nothing_was_generated_there_is_no_number() -> None:
    for_none = observe([None, None], [None, None])
    absent = [o for o in for_none if o.absent]
    assert [o.name for o in absent] == ["perplexity.answers", "perplexity.answers_plain"]
    assert all(o.n == 0 and math.isnan(o.value) for o in absent)
    shares = {o.name: o.value for o in for_none if not o.absent}
    assert shares == {"answers.short": 1.0, "answers.empty": 0.0}


def test_a_perplexity_beyond_all_floats_is_infinite_and_does_not_raise() -> None:
    plain, adjusted = perplexities(observe([20 * 800.0, 20.0], [0.0, 0.5]))
    assert plain == pytest.approx(math.exp(400.5))
    assert adjusted == pytest.approx(math.exp(400.75))
    assert perplexities(observe([20 * 2000.0], [0.0])) == (math.inf, math.inf)
    assert perplexities(observe([math.inf, 20.0], [0.0, 0.0])) == (math.inf, math.inf)
    assert all(math.isnan(x) for x in perplexities(observe([math.nan, 20.0], [0.0, 0.0])))


# --- the questions -----------------------------------------------------------------------------


def test_the_questions_are_enough_and_open_and_not_the_shown_ones() -> None:
    own = builtin_questions()
    assert len(set(own.texts)) == len(set(own.ids)) == len(own.texts) >= 40
    assert all(text.endswith("?") for text in own.texts)
    assert not set(own.texts) & {question for question, _ in answered()}
    assert questions_of(Choice()) == own
    # A shown answer would itself be long enough to be scored.
    assert all(len(answer.split()) >= SCORED for _, answer in answered())


def test_the_benchmarks_questions_are_asked_without_their_options(tmp_path: Path) -> None:
    commonsense_qa(tmp_path, 6)
    every = questions_of(Choice(data=tmp_path, items="all"))
    assert sorted(every.ids) == [f"q{n}" for n in (10, 11, 12, 13, 14, 9)]
    some = questions_of(Choice(data=tmp_path, items=2))
    assert (some.ids, some.texts) == (every.ids[:2], every.texts[:2])
    assert some.judged[0] == f"Question: {some.texts[0].strip()}\nAnswer:"
    assert "red" not in some.asked[0]
    assert len({every.identity, some.identity, builtin_questions().identity}) == 3
    (tmp_path / "none").mkdir()
    with pytest.raises(AbsentError, match="commonsense_qa"):
        questions_of(Choice(data=tmp_path / "none"))
