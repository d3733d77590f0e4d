"""Benchmarks as lm-eval's tasks: what is asked word for word, and that all sides agree on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from capabilities_ import WRITERS

from editsuite.cards import LoadedModel, tiny_model
from editsuite.engine import DecoderStack
from editsuite.errors import CapabilityError, MeasureError, OptionError
from editsuite.measures.capabilities.benchmark import BENCHMARKS, Benchmark, benchmark_of
from editsuite.measures.capabilities.items import ids_of
from editsuite.measures.capabilities.programs import program_in, scored_by
from editsuite.measures.capabilities.sources import LocalFiles

pytest.importorskip("lm_eval", reason="the extra `capabilities` (lm-eval) is not installed")

import datasets
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from editsuite.engine.harness import EngineLM
from editsuite.measures.capabilities.asking import Asker, ask_together
from editsuite.measures.capabilities.subsets import TASKS, Subset, open_benchmark, settings_of

pytestmark = pytest.mark.usefixtures("one_thread")

ASKED = [key for key, one in BENCHMARKS.items() if not one.lacks]
OWN = [key for key, one in BENCHMARKS.items() if not one.file.startswith("lm_eval/")]
GENERATED = [key for key in BENCHMARKS if ".generation" in key]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> LocalFiles:
    folder = tmp_path_factory.mktemp("data")
    for write_files in WRITERS.values():
        write_files(folder)
    return LocalFiles(folder)


@cache
def loaded() -> LoadedModel:
    return tiny_model("llama", 7, context_length=8192)


@cache
def engine() -> EngineLM:
    return EngineLM(DecoderStack(loaded()))


def opened(key: str, source: LocalFiles, wanted: Any = "all") -> tuple[Subset, ...]:
    judged = scored_by(lambda program, setup, tests, names: len(program) % 2 == 0)
    return open_benchmark(
        benchmark_of(key), source, wanted, scored_by=judged if key.startswith("mbpp") else None
    )


def brief(subset: Subset) -> Subset:
    """The same with short texts: what a random model writes has no end."""
    given = subset.settings.get("generation_kwargs", {})
    short = {"max_gen_toks": min(int(given.get("max_gen_toks", 256)), 12)}
    return replace(subset, settings={**subset.settings, "generation_kwargs": {**given, **short}})


def requests(subset: Subset, numbers: Sequence[int]) -> list[Any]:
    subset.task.build_all_requests(samples=list(numbers), rank=0, world_size=1)
    return list(subset.task.instances)


def prompt(subset: Subset, number: int = 0) -> str:
    return str(requests(subset, [number])[0].args[0])


PROMPTS = {
    "axb.generation": (
        "First sentence: The box holds 0 red balls.\nSecond sentence: The box holds 0 balls.\n"
        "Does the first sentence entail the second?\nA. Yes\nB. No\nAnswer:"
    ),
    "c3.generation": (
        "男:我去店里买茶。\n女:好。\n\n问题：他买了什么?\nA. 书\nB. 笔\nC. 米\nD. 茶\n"  # noqa: RUF001
        "请选出正确的选项。\n答案："  # noqa: RUF001
    ),
    "tydiqa_goldp.generation": (
        "Passage: The tower is 40 meters high.\nQuestion: How high?\nAnswer:"
    ),
}


@pytest.mark.parametrize("key", PROMPTS)
def test_a_prompt_without_examples_word_for_word(key: str, source: LocalFiles) -> None:
    assert prompt(opened(key, source)[0]) == PROMPTS[key]


def test_tydiqa_asks_in_the_passages_language(source: LocalFiles) -> None:
    assert prompt(opened("tydiqa_goldp.generation", source)[1]) == (
        "지문: 탑은 40미터이다.\n질문: 높이는?\n답:"
    )


def options(number: int) -> str:
    words = zip("ABCDE", ("red", "blue", "green", "white", "black"), strict=True)
    return "".join(f"{letter}. {word} {number}\n" for letter, word in words)


@pytest.mark.parametrize("key", ["commonsense_qa.generation", "commonsense_qa.loglikelihood"])
def test_commonsense_qa_shows_the_first_eight_of_the_train_split(
    key: str, source: LocalFiles
) -> None:
    shown = "".join(
        f"Question: Which of these is number {n}?\n{options(n)}Answer: {'ABCDE'[n % 5]}\n\n"
        for n in range(8)
    )
    asked = f"Question: Which of these is number 9?\n{options(9)}Answer:"
    assert prompt(opened(key, source)[0]) == shown + asked


@pytest.mark.parametrize(("key", "between"), [("mmlu.ppl", "\n"), ("mmlu.loglikelihood", "\n\n")])
def test_mmlu_shows_the_subjects_dev_split(key: str, between: str, source: LocalFiles) -> None:
    def question(n: int, split: str) -> str:
        rows = [f"{letter}. {n + k}\n" for k, letter in enumerate("ABCD")]
        return f"What is {n}, in world_religions,\nsaid {split}?\n{''.join(rows)}Answer:"

    shown = [f"{question(n, 'dev')} {'ABCD'[n % 4]}" for n in range(5)]
    head = "The following are multiple choice questions (with answers) about world religions.\n\n"
    subset = opened(key, source)[1]
    assert prompt(subset) == head + between.join([*shown, question(0, "test")])
    assert [one.args[1] for one in requests(subset, [0])] == [" A", " B", " C", " D"]


def test_math_shows_four_problems_of_its_own(source: LocalFiles) -> None:
    text = prompt(opened("math.generation", source)[0])
    assert text.endswith("\n\nProblem:\nWhat is $0 + 1$?\n\nSolution:")
    assert text.count("Problem:\n") == 5
    assert text.count("The final answer is $") == 4


def test_mbpp_shows_tasks_two_to_four(source: LocalFiles) -> None:
    text = prompt(opened("mbpp.generation", source)[0])
    blocks = text.split("You are an expert Python programmer, and here is your task: ")[1:]
    assert [block.partition(".")[0][-1] for block in blocks] == ["2", "3", "4", "1"]
    assert blocks[0] == (
        "Write a function that adds 2. Your code should pass these tests:\n\nassert add(0) == 2\n"
        "assert add(1) == 3\nassert add(2) == 4\n[BEGIN]\ndef add(x):\n  return x + 2\n[DONE]\n\n"
    )
    assert blocks[3].endswith("[BEGIN]\n")


@pytest.mark.parametrize("key", BENCHMARKS)
def test_shots_are_as_the_table_says_and_no_item_is_shown(key: str, source: LocalFiles) -> None:
    for subset in opened(key, source):
        task, benchmark = subset.task, benchmark_of(key)
        assert (task.config.num_fewshot or 0) == benchmark.shots
        shown = list(task.sampler.sample(benchmark.shots)) if benchmark.shots else []
        assert len(shown) == benchmark.shots
        assert not [doc for doc in shown if doc in list(task.eval_docs)]
        assert benchmark.metric in task._metric_fn_list


@pytest.mark.parametrize("key", BENCHMARKS)
def test_a_prompt_is_the_same_whatever_else_is_asked(key: str, source: LocalFiles) -> None:
    subset = opened(key, source)[0]
    every = range(len(subset.items))
    alone = requests(subset, [every[-1]])
    together = requests(subset, every)[-len(alone) :]
    assert [one.args for one in alone] == [one.args for one in together]


@pytest.mark.parametrize("key", ASKED)
def test_all_items_are_answered_as_by_hflm(key: str, source: LocalFiles) -> None:
    hflm = HFLM(pretrained=loaded().model, tokenizer=loaded().tokenizer, batch_size=1)
    for subset in opened(key, source, 3):
        asker = brief(subset).asker()
        ours, theirs = asker.ask(engine()), asker.ask(hflm)
        assert [one.doc for one in ours] == list(subset.numbers)
        assert [(a.scores, a.reply) for a in ours] == [(b.scores, b.reply) for b in theirs]
        assert all(benchmark_of(key).metric in answer.scores for answer in ours)
        assert [a.gold for a in ours] == pytest.approx([b.gold for b in theirs], abs=1e-4)


def test_mmlu_takes_the_sequence_of_least_perplexity(source: LocalFiles) -> None:
    (subset, *_) = opened("mmlu.ppl", source)
    model, tokenizer = loaded().model, loaded().tokenizer
    for answer in subset.asker().ask(engine()):
        perplexities = []
        for request in requests(subset, [answer.doc]):
            ids = torch.tensor([tokenizer.encode("".join(request.args))])
            with torch.no_grad():
                loss = model(ids, labels=ids).loss  # mean over the whole sequence, nats
            perplexities.append(float(loss.exp()))
        assert answer.reply == str(perplexities.index(min(perplexities)))


def test_the_first_token_is_the_likeliest_after_the_prompt(source: LocalFiles) -> None:
    (subset,) = opened("commonsense_qa.generation", source)
    for answer in subset.asker().ask(engine()):
        ids = torch.tensor([loaded().tokenizer.encode(prompt(subset, answer.doc))])
        with torch.no_grad():
            token = int(loaded().model(ids).logits[0, -1].argmax())
        assert answer.reply == loaded().tokenizer.decode([token])


def test_answers_come_in_the_order_that_is_asked_for(source: LocalFiles) -> None:
    (subset,) = opened("axb.generation", source)
    there = subset.asker().ask(engine())
    assert [one.doc for one in there] == list(subset.numbers)
    found = Asker(subset.task, [3, 1, 3]).ask(engine())
    assert [one.doc for one in found] == [3, 1, 3]
    by_doc = {one.doc: one for one in there}
    assert len({round(one.gold, 4) for one in there}) == 4  # so that a mix-up would show
    assert [a.reply for a in found] == [by_doc[a.doc].reply for a in found]
    assert [a.gold for a in found] == pytest.approx([by_doc[a.doc].gold for a in found], abs=1e-5)
    with pytest.raises(MeasureError, match="was given no item"):
        Asker(subset.task, [])


def test_items_are_the_chosen_ones_and_their_documents(source: LocalFiles) -> None:
    for subset in opened("bbh.generation", source, 4):
        documents = source.documents("bbh")[subset.name]["test"]
        asked = [ids_of([documents[number]])[0] for number in subset.numbers]
        assert tuple(asked) == subset.items
        assert len(subset.items) == 2
    assert len(opened("bbh.generation", source, 1)) == 1  # the other task is not opened


@pytest.mark.parametrize("temperature", [0.2, 0.5, 0.8])
def test_each_repeat_draws_anew_and_the_same_again(temperature: float, source: LocalFiles) -> None:
    (subset,) = opened("axb.generation", source)
    three = subset.asker(temperature, repeats=3).ask(engine())
    assert three == subset.asker(temperature, repeats=3).ask(engine())
    for one, several in zip(subset.asker(temperature).ask(engine()), three, strict=True):
        assert several.reply == one.reply  # the first of three is the one of one
        assert len({several.reply, *several.further}) > 1
        assert several.gold == pytest.approx(one.gold, abs=1e-5)


def test_an_items_draws_do_not_depend_on_the_other_items(source: LocalFiles) -> None:
    (subset,) = opened("axb.generation", source)
    every = {one.doc: one for one in subset.asker(0.8, repeats=2).ask(engine())}
    (alone,) = Asker(subset.task, [2], temperature=0.8, repeats=2).ask(engine())
    assert (alone.reply, alone.further) == (every[2].reply, every[2].further)


def test_scores_are_means_over_repeats(source: LocalFiles) -> None:
    judge = scored_by(lambda program, setup, tests, names: len(program) % 2 == 0)
    benchmark = benchmark_of("mbpp.generation")
    (subset,) = map(brief, open_benchmark(benchmark, source, 3, scored_by=judge))
    for answer in subset.asker(0.8, repeats=4).ask(engine()):
        replies = (answer.reply, *answer.further)
        right = [len(program_in(reply)) % 2 == 0 for reply in replies]
        assert answer.scores == {"passed": sum(right) / 4}


def test_what_cannot_be_drawn_is_refused(source: LocalFiles) -> None:
    (axb,), (mmlu, *_) = opened("axb.generation", source), opened("mmlu.ppl", source)
    with pytest.raises(MeasureError, match="'editsuite_mmlu::anatomy' scores given options"):
        mmlu.asker(0.5)
    with pytest.raises(OptionError, match="3 repeats at temperature 0 are the same answer"):
        axb.asker(0.0, repeats=3)
    for temperature, repeats in ((-0.1, 1), (0.5, 0)):
        with pytest.raises(OptionError, match="give a temperature from 0 and repeats from 1"):
            axb.asker(temperature, repeats)


def test_code_is_not_asked_without_a_judge(source: LocalFiles) -> None:
    with pytest.raises(CapabilityError, match=r"mbpp\.generation: .*needs the sandbox"):
        open_benchmark(benchmark_of("mbpp.generation"), source, 1)
    task = opened("mbpp.generation", source)[0]
    unjudged = settings_of(benchmark_of("mbpp.generation"), "")["process_results"]
    with pytest.raises(CapabilityError, match="nothing here may run the program for task 11"):
        unjudged(task.documents["test"][0], ["import os"])


def test_a_judge_is_given_program_and_tests() -> None:
    seen: list[tuple[str, str, Sequence[str], frozenset[str]]] = []

    def judge(program: str, setup: str, tests: Sequence[str], names: frozenset[str]) -> bool:
        seen.append((program, setup, tests, names))
        return program.endswith("1\n")

    scores = scored_by(judge)
    own = "def sum(x): ..."  # what the task asks for is called like a builtin
    doc = {"test_setup_code": "x = 0", "test_list": ["assert a == 1"], "code": own}
    assert scores(doc, ["a = 1\n"]) == {"passed": 1.0}
    assert scores(doc, ["a = 2\n"]) == {"passed": 0.0}
    assert seen[0] == ("a = 1\n", "x = 0", ["assert a == 1"], frozenset({"sum"}))


@pytest.mark.parametrize(
    ("reply", "program"),
    [
        ("def f(): pass\n", "def f(): pass\n"),
        ("Here:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
        ("```\nx = 1\n```\n```\ny = 2\n```", "x = 1\n"),
        ("```py \nx = 1", "x = 1"),
        ("", ""),
    ],
)
def test_a_program_is_what_a_fence_holds_or_the_whole_reply(reply: str, program: str) -> None:
    assert program_in(reply) == program


def test_a_subset_that_the_benchmark_does_not_have_is_named(source: LocalFiles) -> None:
    for key in ("mmlu.ppl", "mmlu.loglikelihood", "bbh.generation_cot", "tydiqa_goldp.generation"):
        with pytest.raises(CapabilityError, match=rf"{key}: .*has no subset 'klingon'"):
            settings_of(benchmark_of(key), "klingon")


def names(benchmark: Benchmark, subset: Subset) -> str:
    group = settings_of(benchmark, subset.name)["task"]
    return str(group)


@pytest.mark.parametrize("key", OWN)
def test_lm_eval_itself_loads_the_task_files(
    key: str, source: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--include_path`: with the hub's documents, which ours have the form of, the same prompts."""
    benchmark = benchmark_of(key)
    subsets = {names(benchmark, subset): subset for subset in opened(key, source)}

    def from_hub(path: str, name: str | None = None, **_: object) -> dict[str, datasets.Dataset]:
        documents = source.documents(benchmark.name)
        known = documents.get(name or "", documents.get("", documents.get("anatomy", {})))
        if benchmark.name == "tydiqa_goldp":  # the hub has all languages in one split
            ten = [f"{language}-0-0" for language in LANGUAGES]
            rows = [row for own in documents.values() for row in own["validation"]]
            rows += [{**rows[0], "id": one} for one in ten]
            known = {"validation": rows}
        return {split: datasets.Dataset.from_list(list(rows)) for split, rows in known.items()}

    monkeypatch.setattr("lm_eval.api.task.datasets.load_dataset", from_hub)
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    name = benchmark.file.removesuffix(".yaml")
    assert name in manager.all_tasks or name in manager.all_groups
    found = manager.load([name])["tasks"]
    assert set(subsets) <= set(found)
    for task_name, subset in subsets.items():
        task = found[task_name]
        task.build_all_requests(samples=[0], rank=0, world_size=1)
        assert task.instances[0].args == requests(subset, [0])[0].args
        assert task.VERSION == 1.0


WITHOUT_LM_EVAL = """
import sys
sys.modules["lm_eval"] = None
from editsuite.errors import MeasureError
import editsuite.measures.capabilities.benchmark, editsuite.measures.capabilities.sources
try:
    import editsuite.measures.capabilities.subsets
except MeasureError as error:
    print(error)
"""


def test_without_lm_eval_the_extra_is_named_and_the_table_is_there_all_the_same() -> None:
    command = [sys.executable, "-c", WITHOUT_LM_EVAL]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pip install 'editsuite[capabilities]'" in done.stdout


LANGUAGES = ("arabic", "bengali", "finnish", "indonesian", "russian", "swahili", "telugu")


@pytest.mark.parametrize("key", ["bbh.generation_cot", "mmlu.ppl"])
def test_subsets_asked_together_answer_as_alone(key: str, source: LocalFiles) -> None:
    askers = [Asker(subset.task, subset.numbers) for subset in opened(key, source, 6)]
    assert len(askers) > 1
    alone = [asker.ask(engine()) for asker in askers]
    for own, other in zip(alone, ask_together(askers, engine()), strict=True):
        assert [one.reply for one in own] == [one.reply for one in other]
        assert [one.gold for one in own] == pytest.approx([one.gold for one in other], abs=1e-4)


def test_lm_eval_shows_no_bar_and_no_advice_of_its_own(
    source: LocalFiles, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for subset in opened("commonsense_qa.generation", source, 2):
        Asker(subset.task, subset.numbers)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("lm_eval")]


@pytest.mark.parametrize("key", GENERATED)
def test_a_right_answer_scored_beside_the_text_is_what_scoring_it_alone_gives(
    key: str, source: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    askers = [Asker(subset.task, subset.numbers) for subset in opened(key, source, 4)]
    together = ask_together(askers, engine())
    with monkeypatch.context() as patch:
        patch.setattr(EngineLM, "behind", lambda *_: [])
        alone = ask_together(askers, engine())
    for own, other in zip(together, alone, strict=True):
        assert [one.reply for one in own] == [one.reply for one in other]
        assert [one.gold for one in own] == pytest.approx([one.gold for one in other], abs=1e-4)
