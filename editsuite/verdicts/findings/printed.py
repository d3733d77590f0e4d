"""The paper's own numbers as readings.

Where the paper leaves a setting untold, what is taken for it stands in ``_TAKEN`` (see
``docs/paper.md``). Of two tables that hold one setting the first counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from editsuite.verdicts.cells import Absent, Number
from editsuite.verdicts.columns import COLUMNS as MEANINGS
from editsuite.verdicts.columns import Column
from editsuite.verdicts.findings.estimate import over
from editsuite.verdicts.findings.quantities import CAPABILITIES, COLUMNS
from editsuite.verdicts.findings.quotes import quotes
from editsuite.verdicts.findings.reading import Reading, Readings
from editsuite.verdicts.paper import FOLDER, PaperTable, read_table
from editsuite.verdicts.tables import Setting

#: Layers of the paper's models, for the depth of an edited one.
DEPTHS: Mapping[str, int] = {"llama-2-7b": 32, "llama-2-7b-chat": 32, "gpt2-xl": 48}
#: By table, what the paper does not tell of all rows.
_TAKEN: Mapping[int, Mapping[str, Setting]] = {
    7: {"edits": 100},
    10: {"edits": 100},
    12: {"method": "rome"},
}
#: Of every reading, where its table does not say otherwise. The temperature of Table 1 is not told;
#: sample a is taken for that of Table 1 because of its other numbers.
_PLAIN: Mapping[str, Setting] = {"batch": 1, "temperature": 0.0, "sample": "a"}
#: Tables with numbers of models in a state; 5 and 6 describe methods and benchmarks.
_NUMBERED = (1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14)


def printed(folder: Path = FOLDER) -> Readings:
    """All readings of the paper: its tables, then the numbers in its running text.

    Args:
        folder: that of the tables.

    Raises:
        BaselineError: a file cannot be read.
    """
    tables = [read_table(number, folder / f"table-{number}.csv") for number in _NUMBERED]
    usual = _usual_layers(read_table(5, folder / "table-5.csv"))
    found = [one for table in tables for one in _readings(table, usual)]
    found += [
        _placed(one, usual) for one in quotes(folder / "text.csv", MEANINGS["commonsense_qa"].items)
    ]
    scores = Readings.of_all(found)
    return scores + Readings.of_all(_ratios(scores))


def _readings(table: PaperTable, usual: Mapping[str, str]) -> Iterator[Reading]:
    given = {**_PLAIN, **table.outline.given, **_TAKEN.get(table.number, {})}
    for row in table.rows:
        settings = {**given, **row.settings}
        for name, cell in row.numbers.items():
            quantity = COLUMNS.get(name, name)
            value, low, high = _ends(cell, MEANINGS[name])
            source = f"Table {table.number}"
            one = Reading(quantity, settings, value, low, high, MEANINGS[name].items, source)
            yield _placed(one, usual)


def _ends(cell: Number | Absent, column: Column) -> tuple[float, float, float]:
    """Value, low and high; shares instead of percent.

    A model that generates nothing has lost its language beyond all measure.
    """
    if not isinstance(cell, Number):
        return math.inf, math.inf, math.inf
    scale = 100 if column.unit == "percent" else 1
    value, half = cell.value / scale, float(cell.half_width) / scale
    low, high = value - half, value + half
    if column.unit in ("percent", "share"):
        low, high = max(0.0, low), min(1.0, high)
    if column.items:
        # As for observations: a mean of scores between 0 and 1 varies no more than a proportion.
        a, b = proportion_confint(value * column.items, column.items, method="wilson")
        low, high = min(low, max(0.0, float(a))), max(high, min(1.0, float(b)))
    return value, low, high


def _usual_layers(table: PaperTable) -> dict[str, str]:
    """The layers that a method edits by default (Table 5)."""
    return {
        str(row.settings["method"]): row.words["edited_layers"].replace("/", "-")
        for row in table.rows
    }


def _placed(one: Reading, usual: Mapping[str, str]) -> Reading:
    """The reading with its layer, that layer's depth, and whether all is as usual."""
    settings = dict(one.settings)
    method, model = str(settings.get("method", "")), str(settings["model"])
    if settings.get("edits") == 0:
        settings["method"] = method = "base"
    if method == "grace":
        settings.setdefault("threshold", 1.0)
    told = settings.get("layer", usual.get(method) if "attention_layer" not in settings else None)
    if told is not None and method != "base":
        settings["layer"] = str(told)
        layers = [int(layer) for layer in str(told).split("-")]
        settings["depth"] = sum(layers) / len(layers) / (DEPTHS[model] - 1)
    if "attention_layer" in settings:
        settings["attention_depth"] = float(settings["attention_layer"]) / (DEPTHS[model] - 1)
    plain = all(settings.get(name, value) == value for name, value in _PLAIN.items())
    own = settings.get("layer") == usual.get(method) and settings.get("threshold", 1.0) == 1.0
    settings["usual"] = int(plain and own)
    return Reading(one.quantity, settings, one.value, one.low, one.high, one.n, one.source)


def _ratios(scores: Readings) -> Iterator[Reading]:
    """Numbers over those of the unedited model: what is retained, and how perplexity grows."""
    for one in scores.of(*CAPABILITIES, "text_perplexity"):
        of_base = scores.of(one.quantity, model=one.settings["model"], edits=0)
        if not of_base:
            continue
        base = of_base.held[0]
        name = f"{one.quantity}.{'ratio' if one.quantity == 'text_perplexity' else 'retention'}"
        value = one.value / base.value
        if one.settings["edits"] == 0:
            low = high = value
        elif one.n is None:
            rounded = over(one, base)
            low, high = rounded.low, rounded.high
        else:
            low, high = _of_counts(one, base)
        yield Reading(
            name, one.settings, value, min(low, value), max(high, value), one.n, one.source
        )


def _of_counts(one: Reading, base: Reading) -> tuple[float, float]:
    """The ratio of two scores, taken for independent: wider than that of the pairs would be."""
    assert one.n is not None
    assert base.n is not None
    low, high = confint_proportions_2indep(
        *(one.value * one.n, one.n, base.value * base.n, base.n),
        compare="ratio",
        method="log-adjusted",
    )
    return float(low), float(high)
