"""Real benchmark items on the default model: the engine answers what lm-eval's HFLM answers.

A few items of each; ``benchmarks/study_capabilities.py`` takes a hundred.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets_ import dataset_file

pytest.importorskip("lm_eval", reason="the extra `capabilities` (lm-eval) is not installed")

from lm_eval.models.huggingface import HFLM

from editsuite.engine import DecoderStack
from editsuite.engine.harness import EngineLM
from editsuite.measures.capabilities.asking import Asker, ask_together
from editsuite.measures.capabilities.benchmark import benchmark_of
from editsuite.measures.capabilities.sources import LocalFiles
from editsuite.measures.capabilities.subsets import open_benchmark

pytestmark = [pytest.mark.real_model, pytest.mark.usefixtures("one_thread")]

ITEMS = {
    "commonsense_qa.generation": 8,
    "commonsense_qa.loglikelihood": 2,
    "mmlu.ppl": 2,
    "axb.generation": 4,
    "c3.generation": 2,
    "tydiqa_goldp.generation": 2,
}


def data() -> Path:
    """The folder of the datasets, or a skip that names it."""
    return dataset_file("commonsenseqa", "dev_rand_split.jsonl").parents[1]


@pytest.mark.parametrize("key", ITEMS)
def test_the_engine_answers_as_hflm_does(key: str, real_stack: DecoderStack) -> None:
    subsets = open_benchmark(benchmark_of(key), LocalFiles(data()), ITEMS[key])
    askers = [Asker(subset.task, subset.numbers) for subset in subsets]
    loaded = real_stack.loaded
    rival = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=1)
    ours = [one for part in ask_together(askers, EngineLM(real_stack)) for one in part]
    theirs = [one for asker in askers for one in asker.ask(rival)]
    assert len(ours) == ITEMS[key]
    assert [one.reply for one in ours] == [one.reply for one in theirs]
    assert [dict(one.scores) for one in ours] == [dict(one.scores) for one in theirs]
    assert [one.gold for one in ours] == pytest.approx([one.gold for one in theirs], abs=1e-3)
