"""The paper's fourteen tables: what each holds, and what stays the same in all its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Setting = str | int | float

#: The benchmarks in the order of Table 1.
BENCHMARKS = ("mmlu", "mbpp", "math", "bbh", "tydiqa", "c3", "commonsense_qa", "axb")


@dataclass(frozen=True)
class Outline:
    """A table without its cells.

    Attributes:
        title: what it shows.
        source: the section that speaks of it.
        given: settings that are the same in every row, as the paper tells them; one that the
            paper does not tell is left out.
        columns: their names, in the order of the file.
    """

    title: str
    source: str
    given: Mapping[str, Setting]
    columns: tuple[str, ...]


_7B: Mapping[str, Setting] = {"model": "llama-2-7b"}
_ROME: Mapping[str, Setting] = {**_7B, "method": "rome"}
_GRACE: Mapping[str, Setting] = {**_7B, "method": "grace"}
_XL: Mapping[str, Setting] = {"model": "gpt2-xl", "method": "rome"}

#: By the paper's number.
OUTLINES: Mapping[int, Outline] = {
    1: Outline(
        "four methods on eight benchmarks",
        "section 5.1",
        _7B,
        ("method", "edits", *BENCHMARKS, "average"),
    ),
    2: Outline(
        "recall of the edited facts",
        "section 5.1",
        _7B,
        (
            *("method", "edits", "sequential_reliability", "sequential_generalization"),
            *("individual_reliability", "individual_generalization"),
        ),
    ),
    3: Outline(
        "CommonsenseQA at four temperatures",
        "section 6",
        {**_ROME, "layer": 25},
        ("temperature", "edits", "commonsense_qa"),
    ),
    4: Outline(
        "perplexity of what the edited model writes",
        "section 7.2",
        _ROME,
        ("layer", "edits", "answer_perplexity"),
    ),
    5: Outline(
        "the methods",
        "appendix A",
        {},
        (
            *("method", "parameters", "additional_training"),
            *("edited_module", "edited_layers", "edited_matrix"),
        ),
    ),
    6: Outline(
        "the benchmarks",
        "appendix B",
        {},
        ("benchmark", "capability", "task", "items", "metric", "language", "mode", "shots"),
    ),
    7: Outline(
        "thresholds of GRACE",
        "appendix C",
        _GRACE,
        (
            *("layer", "threshold", "c3", "commonsense_qa", "mbpp", "axb", "mmlu"),
            *("reliability", "generalization"),
        ),
    ),
    8: Outline(
        "similarity of the parameters",
        "appendix D.2",
        {"method": "rome", "layer": 5},
        ("model", "edits", "similarity"),
    ),
    9: Outline(
        "CommonsenseQA after many edits",
        "appendix D.4",
        _ROME,
        ("layer", "edits", "commonsense_qa"),
    ),
    10: Outline(
        "layers of GRACE",
        "appendix D.5",
        {**_GRACE, "threshold": 10},
        ("layer", "mmlu", "commonsense_qa", "tydiqa", "mbpp"),
    ),
    11: Outline(
        "CommonsenseQA with four samples of facts",
        "appendix D.6",
        {**_ROME, "layer": 5},
        ("sample", "edits", "commonsense_qa"),
    ),
    12: Outline(
        "perplexity of standard text",
        "appendix E.1.2",
        _7B,
        ("layer", "edits", "text_perplexity"),
    ),
    13: Outline(
        "perplexity of standard text, GPT2-XL",
        "appendix F.2",
        _XL,
        ("layer", "edits", "text_perplexity"),
    ),
    14: Outline(
        "saliency in GPT2-XL's attention",
        "appendix F.2",
        {**_XL, "edits": 1000},
        ("attention_layer", "s_wp", "s_qp", "s_ww"),
    ),
}
