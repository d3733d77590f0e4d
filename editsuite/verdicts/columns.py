"""What the columns of the paper's tables mean: one name has one meaning in all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: A setting says what was done, a number what was measured; a word describes.
Role = Literal["setting", "number", "word"]
Better = Literal["higher", "lower", "neither"]

#: Between which ends a cell of a unit can lie.
BOUNDS: Mapping[str, tuple[float, float]] = {
    "percent": (0, 100),
    "share": (0, 1),
    "correlation": (-1, 1),
    # An exponential of a mean surprise; the penalty for repetition only makes it larger.
    "perplexity": (1, math.inf),
    "count": (0, math.inf),
    "layer": (0, math.inf),
    "temperature": (0, math.inf),
    "distance": (0, math.inf),
}
#: Units of settings that are whole numbers.
WHOLE = ("count", "layer")


@dataclass(frozen=True)
class Column:
    """A column's meaning.

    Attributes:
        name: as in the header of the file.
        role: whether it is a setting, a measured number or a description.
        meaning: what is counted, measured or named.
        unit: one of ``BOUNDS``, or ``text``.
        source: where the paper says so.
        better: which way a model without damage lies.
        items: items behind a score, where Table 6 tells.
    """

    name: str
    role: Role
    meaning: str
    unit: str
    source: str
    better: Better = "neither"
    items: int | None = None


def _setting(name: str, meaning: str, unit: str, source: str) -> Column:
    return Column(name, "setting", meaning, unit, source)


def _word(name: str, meaning: str, source: str) -> Column:
    return Column(name, "word", meaning, "text", source)


def _score(name: str, meaning: str, items: int, source: str = "Table 6, appendix B") -> Column:
    return Column(name, "number", meaning, "percent", source, "higher", items)


def _recall(name: str, meaning: str) -> Column:
    return Column(name, "number", meaning, "percent", "section 4", "higher")


def _perplexity(name: str, meaning: str, source: str) -> Column:
    return Column(name, "number", meaning, "perplexity", source, "lower")


def _flow(name: str, meaning: str) -> Column:
    return Column(name, "number", meaning, "share", "appendix E.2, equations 5 to 8")


_SUBSETS = "Tables 1 and 6, appendix B"

_ALL = (
    _setting("model", "the model that was edited, by the name of its card", "text", "section 4"),
    _setting("method", "editing method; `base` is the unedited model", "text", "section 4"),
    _setting("edits", "facts edited in sequence, one at a time", "count", "Table 1"),
    _setting("layer", "the one edited layer", "layer", "section 6"),
    _setting("temperature", "temperature that answers were drawn at", "temperature", "section 6"),
    _setting("threshold", "GRACE's epsilon, a Euclidean distance", "distance", "appendix A.1"),
    _setting("sample", "which of four samples of 100 facts", "text", "appendix D.6"),
    _setting("attention_layer", "layer whose attention is looked at", "layer", "appendix E.2"),
    _setting("benchmark", "the dataset", "text", "Table 6"),
    _score(
        "mmlu", "MMLU: mean accuracy over subjects, option of least perplexity", 15691, _SUBSETS
    ),
    _score("mbpp", "MBPP: programs that pass", 500),
    _score("math", "MATH: accuracy of written answers", 5000),
    _score("bbh", "BBH: mean accuracy over tasks of written answers", 6511, _SUBSETS),
    _score("tydiqa", "TyDiQA: mean F1 over languages", 6322, _SUBSETS),
    _score("c3", "C3: accuracy of written answers", 1825),
    _score(
        "commonsense_qa",
        "CommonsenseQA: accuracy of the first written token",
        1221,
        "Table 6, section 7.3",
    ),
    _score("axb", "SuperGLUE AX-b: accuracy of written answers", 1104),
    Column("average", "number", "mean of the eight benchmarks", "percent", "Table 1", "higher"),
    _recall("sequential_reliability", "right answers to all facts edited so far"),
    _recall("sequential_generalization", "the same for rephrased questions"),
    _recall("individual_reliability", "right answers to the latest fact, after each edit"),
    _recall("individual_generalization", "the same for rephrased questions"),
    _recall("reliability", "right answers to the edited facts"),
    _recall("generalization", "right answers to the edited facts' rephrased questions"),
    _perplexity(
        "answer_perplexity",
        "adjusted perplexity, under Vicuna-7b-v1.5, of the first 20 tokens of what the edited "
        "model answers to CommonsenseQA",
        "section 7.2, appendix E.1.1",
    ),
    _perplexity(
        "text_perplexity",
        "perplexity of standard text under the edited model",
        "appendix E.1.2 (1000 sequences of WikiText-103), F.2",
    ),
    Column(
        "similarity",
        "number",
        "Pearson's correlation of the edited layer's parameters before and after",
        "correlation",
        "section 7.1, appendix D.2",
        "higher",
    ),
    _flow("s_wp", "saliency of the flow from the text to the label words"),
    _flow("s_qp", "saliency of the flow from the label words to the target position"),
    _flow("s_ww", "saliency of all other flow"),
    Column("items", "number", "items asked", "count", "Table 6"),
    Column("shots", "number", "answered examples before an item", "count", "Table 6"),
    _word("parameters", "whether the method is modifying or preserving them", "Table 5"),
    _word("additional_training", "whether a network is trained before editing", "Table 5"),
    _word("edited_module", "part of a layer that is edited", "Table 5"),
    _word("edited_layers", "default layers of all checkpoints", "Table 5"),
    _word("edited_matrix", "`mlp_proj`: down projection; `mlp`: all three", "Table 5"),
    _word("capability", "what the benchmark shows", "Table 6"),
    _word("task", "what is asked", "Table 6"),
    _word("metric", "an item's score", "Table 6"),
    _word("language", "language of the items", "Table 6"),
    _word("mode", "PPL: option of least perplexity; GEN: written answer", "appendix B"),
)
#: All columns by name.
COLUMNS: Mapping[str, Column] = {column.name: column for column in _ALL}
