"""The engine as an lm-eval model gives what lm-eval's own HFLM gives, request by request."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers_ import byte_level_bpe, metaspace_bpe, spanning_bpe

from editsuite.cards import FAMILIES, LoadedModel, tiny_model
from editsuite.engine import DecoderStack, generate
from editsuite.errors import MeasureError, OptionError

pytest.importorskip("lm_eval", reason="the extra `capabilities` (lm-eval) is not installed")

from datasets import Dataset
from lm_eval import evaluator
from lm_eval.api.instance import Instance
from lm_eval.api.model import CachingLM
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM

from editsuite.engine.harness import EngineLM

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)
TOKENIZERS = {
    "begun": metaspace_bpe,
    "begun and ended": spanning_bpe,
    "without marks": byte_level_bpe,
}
PAIRS = [
    ("The cat sat on the", " mat"),
    ("The cat sat on the", " hat and left"),
    ("The cat sat on the ", "mat"),
    ("Question: why?\nAnswer:  \n", "because"),
    ("The cat sat on the", " mat"),
    ("", "An empty context"),
    ("", "<|endoftext|>the end comes first"),
    ("<|endoftext|>marked", " from the start"),
    ("é北", "京"),
]


@cache
def loaded_of(architecture: str, tokenizer: str = "") -> LoadedModel:
    if not tokenizer:
        return tiny_model(architecture, 7)
    loaded = tiny_model(architecture, 7, vocab_size=600)
    words = TOKENIZERS[tokenizer]()
    words.add_special_tokens({"pad_token": "<pad>"})
    if words.eos_token is None:
        words.add_special_tokens({"eos_token": "</s>"})
    return replace(loaded, tokenizer=words)


def ours(loaded: LoadedModel, **options: Any) -> Any:
    return EngineLM(DecoderStack(loaded), **options)


def theirs(loaded: LoadedModel, batch_size: int = 1, **options: Any) -> Any:
    return HFLM(
        pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch_size, **options
    )


def asked(kind: Any, arguments: Sequence[tuple[Any, ...]]) -> list[Instance]:
    return [Instance(kind, {}, each, index) for index, each in enumerate(arguments)]


def assert_same_scores(
    loaded: LoadedModel, pairs: Sequence[tuple[str, str]], batch_size: int = 1, **options: Any
) -> None:
    requests = asked("loglikelihood", pairs)
    mine = ours(loaded, **options).loglikelihood(requests, disable_tqdm=True)
    hf = theirs(loaded, batch_size, **options).loglikelihood(requests, disable_tqdm=True)
    assert [value for value, _ in mine] == pytest.approx([value for value, _ in hf], abs=1e-4)
    assert [greedy for _, greedy in mine] == [greedy for _, greedy in hf]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_those_of_hflm(architecture: str) -> None:
    assert_same_scores(loaded_of(architecture), PAIRS)
    assert_same_scores(loaded_of(architecture), PAIRS, batch_size=4)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("add", [None, True, False])
def test_marks_of_the_tokenizer_come_where_hflm_puts_them(tokenizer: str, add: bool | None) -> None:
    pairs = [
        ("The capital of France:", "77 Paris"),
        ("The capital of France: ", "77 Paris"),
        ("<s>The capital of:", "77 Italy"),
        ("", "the river"),
        ("", "<s>the river"),
    ]
    if tokenizer == "without marks":  # its prefix is </s>, so that <s> is plain text to it
        pairs.append(("</s>The company:", "77 rivers"))
    assert_same_scores(loaded_of("llama", tokenizer), pairs, add_bos_token=add)


def test_another_prefix_token_is_used_for_an_empty_context() -> None:
    assert_same_scores(loaded_of("llama"), [("", "abc"), ("", "def")], prefix_token_id=65)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
def test_what_is_too_long_loses_its_left_end(architecture: str) -> None:
    pairs = [
        ("The cat sat on the", " mat"),  # 22 tokens, one a byte
        ("abcdefgh", "ijklmnopq"),  # 17: the last is never read, so that all of it fits
        ("abcdefgh", "ijklmnopqr"),
        ("abc", "0123456789abcdef"),  # a continuation as long as the window
    ]
    assert_same_scores(loaded_of(architecture), pairs, max_length=16)


@pytest.mark.parametrize(
    ("context", "continuation"),
    [("abc", "0123456789abcdefg"), ("abc", ""), ("", ""), ("  ", "abc"), ("", "<|endoftext|>")],
)
def test_what_hflm_cannot_score_is_an_error_with_a_mend(context: str, continuation: str) -> None:
    requests = asked("loglikelihood", [("fine", " so far"), (context, continuation)])
    with pytest.raises((AssertionError, IndexError)):
        theirs(loaded_of("llama"), max_length=16).loglikelihood(requests, disable_tqdm=True)
    with pytest.raises(MeasureError, match="mend the task's document"):
        ours(loaded_of("llama"), max_length=16).loglikelihood(requests, disable_tqdm=True)


TEXTS = st.text(st.sampled_from("ab é\n<"), max_size=12)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(TEXTS, TEXTS.map(lambda text: f"x{text}")), min_size=1, max_size=5),
    st.sampled_from(["llama", "gpt2", "qwen3"]),
    st.integers(26, 40),
)
def test_any_texts_score_as_with_hflm(
    pairs: list[tuple[str, str]], architecture: str, max_length: int
) -> None:
    # A context of white space alone is refused by both.
    pairs = [("" if context.isspace() else context, text) for context, text in pairs]
    assert_same_scores(loaded_of(architecture), pairs, max_length=max_length)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("max_length", [None, 16])
def test_rolling_scores_are_those_of_hflm(architecture: str, max_length: int | None) -> None:
    loaded = loaded_of(architecture)
    texts = [
        "short",
        "a text of more than sixteen bytes",
        "x" * 16,
        "y" * 17,
        "z" * 49,
        "",
        "short",
    ]
    requests = asked("loglikelihood_rolling", [(text,) for text in texts])
    mine = ours(loaded, max_length=max_length).loglikelihood_rolling(requests)
    hf = theirs(loaded, 2, max_length=max_length).loglikelihood_rolling(requests, disable_tqdm=True)
    assert mine == pytest.approx(hf, abs=1e-4)
    assert mine[0] == mine[-1]
    assert mine[-2] == 0


CONTEXTS = ["The cat sat on the", "A", "Question: why?\nAnswer:", "<|endoftext|>B", "A"]


def generated(lm: Any, contexts: Sequence[str], **settings: Any) -> list[str]:
    requests = asked("generate_until", [(context, dict(settings)) for context in contexts])
    texts: list[str] = lm.generate_until(requests, disable_tqdm=True)
    return texts


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_texts_are_those_of_hflm(architecture: str) -> None:
    loaded = loaded_of(architecture)
    free = generated(ours(loaded), CONTEXTS, max_gen_toks=12)
    assert free == generated(theirs(loaded), CONTEXTS, max_gen_toks=12)
    assert free == generated(theirs(loaded, 3), CONTEXTS, until=[], max_gen_toks=12)
    assert all(free)
    stops = [text[i : i + n] for text in free[:2] for i, n in ((2, 1), (3, 2))]
    for until in (stops[0], stops, [stops[1], stops[3]]):
        cut = generated(ours(loaded), CONTEXTS, until=until, max_gen_toks=12)
        assert cut == generated(theirs(loaded), CONTEXTS, until=until, max_gen_toks=12)
        assert not any(stop in text for text in cut for stop in list(until))
    assert cut != free


def test_a_context_that_is_too_long_loses_its_left_end_before_generation() -> None:
    loaded, contexts = loaded_of("llama"), ["The cat sat on the mat", "abc"]
    mine = generated(ours(loaded, max_length=16), contexts, max_gen_toks=10)
    assert mine == generated(theirs(loaded, max_length=16), contexts, max_gen_toks=10)
    assert mine[0] == generated(ours(loaded), ["he mat"], max_gen_toks=10)[0]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("add", [None, True, False])
def test_generation_starts_from_the_marks_that_hflm_sets(tokenizer: str, add: bool | None) -> None:
    loaded = loaded_of("llama", tokenizer)
    contexts = ["The capital of", "<s>The capital of", "</s>The capital of"]
    mine = generated(ours(loaded, add_bos_token=add), contexts, max_gen_toks=12)
    assert mine == generated(theirs(loaded, add_bos_token=add), contexts, max_gen_toks=12)


def test_an_empty_context_is_continued_from_the_prefix_token() -> None:
    loaded = loaded_of("llama")
    (text,) = generated(ours(loaded), [""], max_gen_toks=12)
    assert [text] == generated(ours(loaded), ["<|endoftext|>"], max_gen_toks=12)
    assert text


def test_special_tokens_stop_alone_and_within_strings() -> None:
    loaded = tiny_model("llama", 8)
    marks = [f"<|mark {number}|>" for number in range(41)]
    loaded.tokenizer.add_special_tokens({"additional_special_tokens": marks})
    lm, context = ours(loaded), CONTEXTS[:1]
    (new,) = generate(lm.stack, [lm.tok_encode(context[0])], max_new_tokens=20)
    at = next(place for place, token in enumerate(new) if token > 258)
    before, mark = lm.tok_decode(new[:at], False), lm.tok_decode([new[at]], False)
    assert before.isascii()
    for until in (mark, before + mark):
        assert generated(lm, context, until=[until], max_gen_toks=20) == [before] != [""]
        assert generated(theirs(loaded), context, until=[until], max_gen_toks=20) == [before]


def test_draws_depend_on_neither_order_nor_budget() -> None:
    def draw(order: Sequence[int], **options: Any) -> list[str]:
        texts = generated(
            ours(loaded_of("llama"), **options),
            [CONTEXTS[index] for index in order],
            max_gen_toks=8,
            do_sample=True,
            temperature=1.0,
        )
        return [text for _, text in sorted(zip(order, texts, strict=True))]

    first = draw(range(4))
    assert draw([2, 0, 3, 1]) == first
    assert draw(range(4), token_budget=1) == first
    assert draw(range(4), seed=1) != first
    assert draw([1]) == first[1:2]


def test_a_repeated_request_draws_anew_and_a_longer_limit_goes_on() -> None:
    lm = ours(loaded_of("llama"))
    drawn = generated(lm, ["A"] * 4, max_gen_toks=8, temperature=1.0)
    assert len(set(drawn)) == 4
    longer = generated(lm, ["A"] * 4, max_gen_toks=16, temperature=1.0)
    # Bytes that begin a letter show as a mark until its last byte is there.
    assert all(b.startswith(a.rstrip("\ufffd")) for a, b in zip(drawn, longer, strict=True))


def test_kinds_of_generation_do_not_mix() -> None:
    lm = ours(loaded_of("llama"))
    kinds: list[dict[str, Any]] = [
        {"max_gen_toks": 4},
        {"max_gen_toks": 9, "temperature": 0.7, "top_k": 5},
        {"max_gen_toks": 4, "temperature": 0.7, "do_sample": False, "top_p": 0.9},
        {"max_new_tokens": 4, "num_beams": 1},
    ]
    together = lm.generate_until(asked("generate_until", [("The cat", kind) for kind in kinds]))
    assert together == [generated(lm, ["The cat"], **kind)[0] for kind in kinds]
    assert together[0] == together[2] == together[3]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_beams": 4}, "num_beams"),
        ({"do_sample": True, "temperature": 0.5, "top_p": 0.9}, "top_p"),
        ({"do_sample": True, "temperature": 0.0}, "above 0"),
        ({"max_gen_toks": 256}, "no room for a context"),
    ],
)
def test_what_the_engine_cannot_generate_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        generated(ours(loaded_of("llama")), ["abc"], **wrong)


def test_no_requests_give_no_answers() -> None:
    lm = ours(loaded_of("llama"))
    assert lm.loglikelihood([]) == lm.loglikelihood_rolling([]) == lm.generate_until([]) == []


def test_answers_are_kept_in_lm_evals_cache(tmp_path: Path) -> None:
    lm = ours(loaded_of("llama"))
    kinds: dict[str, list[tuple[Any, ...]]] = {
        "loglikelihood": [("a", " b"), ("a", " c")],
        "loglikelihood_rolling": [("abc",)],
        "generate_until": [("abc", {"until": ["x"], "max_gen_toks": 3})],
    }
    cached = CachingLM(lm, str(tmp_path / "answers.db"))
    for kind, arguments in kinds.items():
        direct = getattr(lm, kind)(asked(kind, arguments))  # the hook alone must fill the cache
        lm.loglikelihood = lm.loglikelihood_rolling = lm.generate_until = None
        assert getattr(cached, kind)(asked(kind, arguments)) == direct
        del lm.loglikelihood, lm.loglikelihood_rolling, lm.generate_until
    cached.dbdict.close()


CHAT = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}"
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT
)
END = "{% if add_generation_prompt %}[assistant]{% endif %}"


@pytest.mark.parametrize("template", [CHAT + END, NO_SYSTEM + END])
@pytest.mark.parametrize("prompted", [True, False])
def test_chat_templates_are_applied_as_by_hflm(template: str, prompted: bool) -> None:
    loaded = tiny_model("qwen2", 7)
    loaded.tokenizer.chat_template = template
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because"},
    ]
    mine, hf = ours(loaded), theirs(loaded)
    text = mine.apply_chat_template(turns, add_generation_prompt=prompted)
    assert text == hf.apply_chat_template(turns, add_generation_prompt=prompted)
    assert "Why?" in text
    assert mine.chat_template(True) == hf.chat_template(True) == template
    assert mine.tokenizer_name == hf.tokenizer_name


def test_facts_of_the_model_are_those_of_hflm() -> None:
    mine, hf = ours(loaded_of("gpt2")), theirs(loaded_of("gpt2"))
    for fact in ("max_length", "max_gen_toks", "eot_token_id", "prefix_token_id", "device"):
        assert getattr(mine, fact) == getattr(hf, fact)
    assert (mine.rank, mine.world_size) == (hf.rank, hf.world_size) == (0, 1)
    assert mine.tok_encode("A cat") == hf.tok_encode("A cat")
    assert mine.tok_decode(mine.tok_encode("A cat")) == "A cat"


DOCUMENTS = [
    {"question": "What purrs?", "choices": ["a cat", "a dog", "rain"], "answer": 0},
    {"question": "What barks?", "choices": ["a cat", "a dog", "rain"], "answer": 1},
    {"question": "What falls?", "choices": ["a cat", "a dog", "rain"], "answer": 2},
    {"question": "What meows?", "choices": ["the cat", "no dog"], "answer": 0},
]
CHOOSE = {
    "task": "choose",
    "output_type": "multiple_choice",
    "doc_to_choice": "choices",
    "doc_to_target": "answer",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    "num_fewshot": 2,
    "fewshot_config": {"sampler": "first_n"},
}
WRITE = {
    "task": "write",
    "output_type": "generate_until",
    "doc_to_target": "{{choices[answer]}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 10, "do_sample": False},
    "metric_list": [{"metric": "exact_match"}],
}


def evaluated(lm: Any, settings: dict[str, Any]) -> dict[str, Any]:
    def documents(**_: object) -> dict[str, Dataset]:
        return {"train": Dataset.from_list(DOCUMENTS[:2]), "test": Dataset.from_list(DOCUMENTS)}

    task = ConfigurableTask(
        config=settings
        | {
            "custom_dataset": documents,
            "training_split": "train",
            "test_split": "test",
            "doc_to_text": "Question: {{question}}\nAnswer:",
        }
    )
    found: Any = evaluator.evaluate(lm, {settings["task"]: task}, bootstrap_iters=0)
    samples = [
        {key: sample[key] for key in ("doc_id", "arguments", "resps", "filtered_resps")}
        for sample in found["samples"][settings["task"]]
    ]
    return {"results": found["results"][settings["task"]], "samples": samples}


def test_a_task_of_choices_ends_as_with_hflm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    mine = evaluated(ours(loaded_of("llama")), CHOOSE)
    hf = evaluated(theirs(loaded_of("llama"), 2), CHOOSE)
    assert mine["results"] == hf["results"]
    assert len(mine["samples"]) == len(DOCUMENTS)
    for a, b in zip(mine["samples"], hf["samples"], strict=True):
        assert a["arguments"] == b["arguments"]
        (answers_a,), (answers_b,) = zip(*a["resps"], strict=True), zip(*b["resps"], strict=True)
        assert [v for v, _ in answers_a] == pytest.approx([v for v, _ in answers_b], abs=1e-4)
        assert [greedy for _, greedy in answers_a] == [greedy for _, greedy in answers_b]


def test_a_task_of_writing_ends_as_with_hflm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    mine = evaluated(ours(loaded_of("llama")), WRITE)
    assert mine == evaluated(theirs(loaded_of("llama"), 2), WRITE)
    assert any(sample["resps"][0][0] for sample in mine["samples"])


ABSENT = """
import sys
sys.modules["lm_eval"] = None
from editsuite.errors import EditsuiteError
import editsuite.engine
try:
    import editsuite.engine.harness
except EditsuiteError as error:
    print(error)
"""


def test_without_lm_eval_the_engine_works_and_the_error_names_the_extra() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", ABSENT], capture_output=True, text=True, check=True, timeout=120
    )
    assert "pip install 'editsuite[capabilities]'" in shown.stdout


def test_the_engine_itself_does_not_import_lm_eval() -> None:
    code = "import editsuite.engine, sys; print('lm_eval' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert shown.stdout == "False\n"
