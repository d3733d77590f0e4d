"""The eight benchmarks of the paper, and other ways to ask them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from editsuite.errors import MeasureError, OptionError, listing

Capability = Literal[
    "knowledge",
    "mathematics",
    "reasoning",
    "entailment",
    "commonsense",
    "reading",
    "multilingual",
    "code",
]
#: ``generation`` reads an answer from written text, ``generation_cot`` from text that reasons
#: first; ``ppl`` takes the option whose sequence has the least perplexity, ``loglikelihood`` the
#: option that lm-eval's task scores highest.
Mode = Literal["generation", "generation_cot", "ppl", "loglikelihood"]

#: lm-eval draws other examples for every item; the first are the same for all.
_FIRST: Mapping[str, Any] = {"sampler": "first_n"}
#: Byte-level tokenizers give a reply its leading blank, which lm-eval's task would count wrong.
_BARE = [
    {"name": "bare", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}
]


@dataclass(frozen=True)
class Benchmark:
    """A dataset, and how it is asked.

    Attributes:
        capability: what it is a measure of.
        name: the dataset.
        mode: how an answer is had.
        shots: answered examples before an item.
        metric: the item's score, 0 to 1.
        file: the task file; below ``lm_eval/tasks`` where it begins with ``lm_eval/``, else one
            of the suite's own. ``{}`` stands for the subset.
        paper: whether the paper asks it so (Table 6, appendix B).
        settings: what of the task file is changed.
        lacks: what scores its replies where the task file cannot; empty where it can.
        answers: the replies that are an answer at all, where one token is read (paper D.3);
            empty where more is.
    """

    capability: Capability
    name: str
    mode: Mode
    shots: int
    metric: str
    file: str
    paper: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    lacks: str = ""
    answers: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name and mode, such as ``mmlu.ppl``: scores of two modes are never compared."""
        return f"{self.name}.{self.mode}"

    def score(self, subsets: Mapping[str, Sequence[float]]) -> float:
        """The benchmark's score: the mean over its subsets of the mean over their items.

        Subsets of which nothing was asked do not count.

        Args:
            subsets: by subset, the scores of its items.

        Raises:
            MeasureError: there is no score at all.

        Source: paper, Table 1 ("the mean values derived from all respective subsets").
        """
        means = [fmean(scores) for scores in subsets.values() if scores]
        if not means:
            raise MeasureError(f"{self.key}: no item was asked; ask at least one")
        return fmean(means)


#: All of them by key; the paper's own way first.
BENCHMARKS: Mapping[str, Benchmark] = {
    one.key: one
    for one in (
        Benchmark("knowledge", "mmlu", "ppl", 5, "acc", "editsuite_mmlu.yaml"),
        Benchmark(
            *("knowledge", "mmlu", "loglikelihood", 5, "acc"),
            *("lm_eval/mmlu/default/mmlu_{}.yaml", False),
            {"num_fewshot": 5},
        ),
        Benchmark("mathematics", "math", "generation", 4, "exact_match", "editsuite_math.yaml"),
        Benchmark(
            *("reasoning", "bbh", "generation_cot", 3, "exact_match"),
            "lm_eval/bbh/cot_fewshot/{}.yaml",
            settings={"metadata": {"gold": "So the answer is {{target}}."}},
        ),
        Benchmark(
            *("reasoning", "bbh", "generation", 3, "exact_match"),
            *("lm_eval/bbh/fewshot/{}.yaml", False),
            {"filter_list": _BARE},
        ),
        Benchmark("entailment", "axb", "generation", 0, "acc", "editsuite_axb.yaml"),
        Benchmark(
            *("commonsense", "commonsense_qa", "generation", 8, "acc"),
            "editsuite_commonsense_qa.yaml",
            answers=("A", "B", "C", "D", "E"),
        ),
        Benchmark(
            *("commonsense", "commonsense_qa", "loglikelihood", 8, "acc"),
            *("lm_eval/commonsense_qa/default.yaml", False),
            {"num_fewshot": 8, "fewshot_split": "train", "fewshot_config": _FIRST},
        ),
        Benchmark("reading", "c3", "generation", 0, "acc", "editsuite_c3.yaml"),
        Benchmark(
            "multilingual", "tydiqa_goldp", "generation", 0, "f1", "editsuite_tydiqa_goldp.yaml"
        ),
        Benchmark(
            *("code", "mbpp", "generation", 3, "passed", "editsuite_mbpp.yaml"),
            lacks="needs the sandbox",
        ),
    )
}


def benchmark_of(key: str) -> Benchmark:
    """A benchmark by its key.

    Raises:
        OptionError: there is none.
    """
    if key not in BENCHMARKS:
        raise OptionError(f"benchmark {key!r} is unknown; known are {listing(BENCHMARKS)}")
    return BENCHMARKS[key]
