"""The paper's tables and its text as readings: values, intervals, settings."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from findings_ import paper
from statsmodels.stats.proportion import proportion_confint

from editsuite.cards import resolve_card
from editsuite.errors import BaselineError
from editsuite.verdicts.columns import COLUMNS as MEANINGS
from editsuite.verdicts.findings.printed import DEPTHS, printed
from editsuite.verdicts.findings.quantities import CAPABILITIES
from editsuite.verdicts.findings.quotes import COLUMNS, quotes
from editsuite.verdicts.paper import FOLDER, read_table

TEXT = FOLDER / "text.csv"


def test_every_number_of_the_tables_is_read_once() -> None:
    """But for settings that two tables hold, of which the first counts."""
    cells = sum(
        len(row.numbers) for n in range(1, 15) if n not in (5, 6) for row in read_table(n).rows
    )
    derived = ("retention", "ratio")
    tables = [
        one
        for one in paper()
        if one.source.startswith("Table") and one.quantity.rpartition(".")[2] not in derived
    ]
    twice = cells - len(tables)
    assert 0 < twice < 50
    assert {one.source for one in paper()} == {
        *(f"Table {n}" for n in range(1, 15) if n not in (5, 6)),
        "section 6",
        "section D.3",
    }


def test_scores_are_shares_with_the_intervals_of_their_items() -> None:
    for one in paper().of(*CAPABILITIES):
        assert 0 <= one.low <= one.value <= one.high <= 1
        assert one.n is not None
        low, high = proportion_confint(one.value * one.n, one.n, method="wilson")
        # No narrower than Wilson's, and no wider than it with the printed rounding.
        assert one.low <= max(0.0, low) + 1e-12
        assert one.high >= high - 1e-12
        assert one.low >= min(low, one.value - 0.005) - 1e-12
    (mmlu,) = paper().of("knowledge", method="memit", edits=100, usual=1)
    assert (mmlu.value, mmlu.n) == (pytest.approx(0.229), MEANINGS["mmlu"].items)


def test_retention_is_the_score_over_the_unedited_models() -> None:
    (one,) = paper().of("commonsense.retention", method="rome", edits=20, usual=1)
    assert one.value == pytest.approx(20.6 / 49.6)
    # Katz's interval of a ratio of independent proportions (1978), by hand; half an item is added.
    a, b, n = 0.206 * 1221 + 0.5, 0.496 * 1221 + 0.5, 1221.5
    far = 1.959963984540054 * math.sqrt(1 / a + 1 / b - 2 / n)
    assert one.low == pytest.approx(a / b * math.exp(-far), abs=1e-3)
    assert one.high == pytest.approx(a / b * math.exp(far), abs=1e-3)
    for base in paper().of(*(f"{name}.retention" for name in CAPABILITIES), edits=0):
        assert (base.value, base.low, base.high) == (1, 1, 1)
    (gone,) = paper().of("code.retention", method="mend", edits=100)
    assert gone.value == gone.low == 0 < gone.high < 0.1


def test_a_perplexity_grows_from_that_of_its_layer() -> None:
    (one,) = paper().of("text_perplexity.ratio", model="gpt2-xl", layer="25", edits=100)
    assert one.value == pytest.approx(900.2 / 41.1)
    assert one.low < one.value < one.high < one.value * 1.01
    (gone,) = paper().of("answer_perplexity", layer="10", edits=100)
    assert gone.value == gone.low == math.inf


def test_layers_are_those_of_table_5_where_none_is_told() -> None:
    (memit,) = paper().of("code", method="memit", edits=100)
    assert memit.settings["layer"] == "4-5-6-7-8"
    assert memit.settings["depth"] == pytest.approx(6 / 31)
    (grace,) = paper().of("code", method="grace", layer="30", threshold=1.0)
    assert (grace.settings["usual"], grace.source) == (1, "Table 1")
    (other,) = paper().of("code", method="grace", layer="20", threshold=1.0)
    assert other.settings["usual"] == 0
    for model, depth in DEPTHS.items():
        assert resolve_card(model).n_layers == depth
    assert {one.settings["model"] for one in paper()} == {*DEPTHS}


def test_the_text_tells_what_no_table_does() -> None:
    found = quotes(TEXT, 1221)
    assert [(one.quantity, one.value) for one in found] == [
        ("commonsense", 0.4627),
        ("commonsense.retention", 0.904),
        ("commonsense", 0.0),
        ("commonsense", 0.45),
    ]
    for one in found:
        assert 0 <= one.low <= one.value <= one.high <= 1
    # A decrease of 9.6 percent of the score, or of 9.6 points of Table 1's 49.6.
    assert found[1].low == pytest.approx(1 - 9.6 / 49.6, abs=5e-4)
    assert found[1].value == pytest.approx(1 - 0.096)


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", ",".join(COLUMNS) + "\n6,commonsense,m,rome,20,many,46,0.4,0.3,0.5,w\n"],
)
def test_a_spoilt_file_is_told(text: str, tmp_path: Path) -> None:
    file = tmp_path / "text.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match=r"text\.csv: cannot be read"):
        quotes(file)
    with pytest.raises(BaselineError, match="table-1"):
        printed(tmp_path)
