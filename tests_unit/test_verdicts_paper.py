"""The paper's tables: every cell has a meaning, and what is spoilt is told with its place."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editsuite.errors import BaselineError
from editsuite.verdicts.cells import Number
from editsuite.verdicts.columns import COLUMNS
from editsuite.verdicts.paper import PaperTable, read_table
from editsuite.verdicts.tables import OUTLINES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "paper.md"
EDITS_4 = (1, 10, 14, 20, 30, 50, 75, 100)
LAYERS = (5, 10, 15, 20, 25, 30)

#: Settings of each table, by column; every combination is a row.
GRIDS: dict[int, dict[str, tuple[object, ...]]] = {
    3: {"temperature": (0, 0.2, 0.5, 0.8), "edits": (0, 1, 10, 50, 100, 200, 500, 1000)},
    4: {"layer": LAYERS, "edits": EDITS_4},
    5: {"method": ("grace", "mend", "rome", "memit")},
    6: {"benchmark": ("mmlu", "math", "bbh", "axb", "commonsense_qa", "c3", "tydiqa", "mbpp")},
    7: {"layer": (20, 30), "threshold": (1, 5, 10, 20)},
    8: {"model": ("llama-2-7b", "llama-2-7b-chat"), "edits": (1, 10, 20, 50, 75, 100)},
    9: {"layer": (20, 25, 30), "edits": (100, 200, 500, 1000)},
    10: {"layer": (10, 20, 30)},
    11: {"sample": ("a", "b", "c", "d"), "edits": (1, 10, 20, 50, 100)},
    12: {"layer": LAYERS, "edits": (0, 1, 10, 14, 50, 100)},
    13: {"layer": (5, 25, 45), "edits": (0, 1, 10, 50, 100, 500, 1000)},
    14: {"attention_layer": tuple(range(0, 50, 5))},
}
#: Of a column: how many numbers, their sum, and the sum of each times its row (from 1), which sees
#: numbers that changed places. From a second reading that did not use the files: a program that
#: took the tables out of the paper's text.
SUMS = """
1 mmlu 14 542.8 3897.2; 1 mbpp 14 163.8 1279.8; 1 math 14 28.86 222.52; 1 bbh 14 376.3 2912.7
1 tydiqa 14 267.4 1960.4; 1 c3 14 333.6 2409.2; 1 commonsense_qa 14 466.89 3319.27
1 axb 14 518.1 3733.4; 1 average 14 337.4 2468.1; 2 sequential_reliability 13 739.97 5082.24
2 sequential_generalization 13 673.06 4204.52; 2 individual_reliability 13 1046.4 7751.2
2 individual_generalization 13 960.0 6700.7; 3 commonsense_qa 32 1079.2 16216.1
4 answer_perplexity 46 63807.96 1790805.08; 6 items 8 38174 114949; 6 shots 8 23 86
7 c3 8 208.51 950.63; 7 commonsense_qa 8 327.73 1506.82; 7 mbpp 8 116.4 545.0
7 axb 8 329.34 1492.90; 7 mmlu 8 373.8 1682.4; 7 reliability 8 790 3558
7 generalization 8 373.2 1675.2; 8 similarity 12 8.384 50.078; 9 commonsense_qa 12 281.65 1704.65
10 mmlu 3 116.7 257.1; 10 commonsense_qa 3 94.8 227.3; 10 tydiqa 3 46.32 115.96
10 mbpp 3 33.8 85.0; 11 commonsense_qa 20 714.5 7182.6; 12 text_perplexity 36 21075.70 369613.77
13 text_perplexity 21 11346.0 151551.1; 14 s_wp 10 1.95 4.60; 14 s_qp 10 7.38 48.19
14 s_ww 10 0.67 2.21
"""


@pytest.fixture(params=OUTLINES, ids="table-{}".format)
def table(request: pytest.FixtureRequest) -> PaperTable:
    return read_table(request.param)


def test_every_combination_of_settings_is_a_row_in_order(table: PaperTable) -> None:
    if table.number in (1, 2):
        changing = [(m, n) for m in ("mend", "rome", "memit") for n in (1, 10, 20, 100)]
        base = [("base", 0)] if table.number == 1 else []
        expected = [{"method": m, "edits": n} for m, n in (*base, *changing, ("grace", 100))]
    else:
        expected = [{}]
        for name, values in GRIDS[table.number].items():
            expected = [{**row, name: value} for row in expected for value in values]
    assert [row.settings for row in table.rows] == expected
    assert [row.line for row in table.rows] == [*range(2, len(expected) + 2)]


def test_columns_have_the_sums_of_the_second_reading() -> None:
    wanted = [entry.split() for entry in re.split(r"[;\n]", SUMS.strip())]
    found = []
    for number in OUTLINES:
        read = read_table(number)
        for column in read.columns:
            cells = [(n, row.numbers.get(column.name)) for n, row in enumerate(read.rows, 1)]
            numbers = [(n, cell.exact) for n, cell in cells if isinstance(cell, Number)]
            if numbers:
                sums = (sum(x for _, x in numbers), sum(n * x for n, x in numbers))
                found.append([str(number), column.name, str(len(numbers)), *map(str, sums)])
    assert sorted(found) == sorted(wanted)


def test_numbers_lie_where_their_units_do(table: PaperTable) -> None:
    ends = {"percent": (0, 100), "share": (0, 1), "correlation": (-1, 1), "perplexity": (1, 1e5)}
    for row in table.rows:
        for name, cell in row.numbers.items():
            if isinstance(cell, Number):
                low, high = ends.get(COLUMNS[name].unit, (0, 1e5))
                assert low <= cell.value <= high, f"{table.file}:{row.line}: {name}"


def test_a_model_that_writes_nothing_has_no_perplexity() -> None:
    """Table 4 prints a stroke in two cells, and no other table prints one."""
    absent = [
        (number, row.settings, name, cell)
        for number in OUTLINES
        for row in read_table(number).rows
        for name, cell in row.numbers.items()
        if not isinstance(cell, Number)
    ]
    assert absent == [
        (4, {"layer": 10, "edits": n}, "answer_perplexity", "nothing generated") for n in (75, 100)
    ]
    with pytest.raises(BaselineError, match=r"table-4\.csv:17: answer_perplexity has no number"):
        read_table(4).cell("answer_perplexity", layer=10, edits=100)


def test_columns_are_of_use_and_told_on_the_page() -> None:
    used = {name for outline in OUTLINES.values() for name in outline.columns}
    assert used == set(COLUMNS)
    told = {
        cells[0].strip("`"): cells[1:]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 6
    }
    for column in COLUMNS.values():
        items = "" if column.items is None else str(column.items)
        better = "" if column.better == "neither" else column.better
        expected = [column.meaning, column.unit, better, items, column.source]
        assert told[column.name] == expected, column.name


def test_items_are_those_of_table_6() -> None:
    counts = {row.settings["benchmark"]: row.numbers["items"] for row in read_table(6).rows}
    with_items = {c.name: Number(c.items, 0) for c in COLUMNS.values() if c.items is not None}
    assert counts == with_items


@given(st.decimals(0, 100, places=4), st.integers(0, 3), st.integers(0, 3))
def test_two_roundings_of_one_number_agree(exact: Decimal, a: int, b: int) -> None:
    one, two = (Number(float(round(exact, n)), n) for n in (a, b))
    assert one.agrees(two)
    assert two.agrees(one)
    assert abs(one.exact - exact) <= one.half_width


def test_numbers_further_apart_than_their_last_digits_do_not_agree() -> None:
    assert Number(1.2, 1).agrees(Number(1.15, 2))
    assert not Number(46.2, 1).agrees(Number(46.27, 2))
    assert not Number(1.0, 1).agrees(Number(1.11, 2))


HEADER = "layer,edits,commonsense_qa\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"table-9\.csv:1: columns missing: commonsense_qa, edits, layer;"),
        ("layer,edits\n20,100\n", r":1: columns missing: commonsense_qa;"),
        ("layer,edits,commonsense_qa,mmlu\n", r":1: .*not of this table: mmlu;"),
        ("edits,layer,commonsense_qa\n", r":1: .*in this order"),
        (HEADER, "has no rows"),
        (f"{HEADER}20,100\n", r":2: 2 cells for 3 columns"),
        (f"{HEADER}20,100,46.2\n20,200,many\n", r":3: commonsense_qa: 'many' is no number"),
        (f"{HEADER}20,100,nan\n", r":2: commonsense_qa: 'nan' is no number"),
        (f"{HEADER}20,100, 4\n", r":2: commonsense_qa: ' 4' is no number"),
        (f"{HEADER}20,100,100.1\n", r":2: commonsense_qa: 100\.1 is no percent"),
        (f"{HEADER}20,100,-1\n", r":2: commonsense_qa: -1 is no percent"),
        (f"{HEADER}20,{'9' * 400},1\n", r":2: edits: 9+ is no count"),
        (f"{HEADER}20,1.5,1\n", r":2: edits: '1\.5' is no whole number"),
        (f"{HEADER}20,,1\n", r":2: edits: '' is no number"),
        (f"{HEADER}20,100,1\n20,100,2\n", r":3: has the settings of line 2"),
        (f'{HEADER}20,100,"1\n', "cannot be read as the paper's Table 9"),
    ],
)
def test_a_spoilt_file_is_told_with_its_place(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "table-9.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match=told):
        read_table(9, file)


def test_a_file_that_is_no_text_or_not_there_is_told(tmp_path: Path) -> None:
    file = tmp_path / "table-11.csv"
    with pytest.raises(BaselineError, match=r"table-11\.csv: cannot be read .* from the repos"):
        read_table(11, file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BaselineError, match=r"table-11\.csv: cannot be read"):
        read_table(11, file)
    file.write_text("sample,edits,commonsense_qa\n,1,49.6\n", encoding="utf-8")
    with pytest.raises(BaselineError, match=":2: sample: is empty"):
        read_table(11, file)


def test_what_was_not_measured_stays_apart_from_nought(tmp_path: Path) -> None:
    file = tmp_path / "table-9.csv"
    file.write_text(f"{HEADER}20,100,\n20,200,0\n", encoding="utf-8")
    first, second = read_table(9, file).rows
    assert first.numbers["commonsense_qa"] == "not measured"
    assert second.numbers["commonsense_qa"] == Number(0, 0)


def test_asking_for_what_is_not_there_is_told() -> None:
    with pytest.raises(BaselineError, match="no Table 15; its tables are 1 to 14"):
        read_table(15)
    nine = read_table(9)
    with pytest.raises(BaselineError, match="Table 9: no numbers under 'mmlu'; take one of comm"):
        nine.cell("mmlu", layer=20, edits=100)
    with pytest.raises(BaselineError, match="4 rows have"):
        nine.cell("commonsense_qa", layer=20)
    with pytest.raises(BaselineError, match="0 rows have"):
        nine.cell("commonsense_qa", layer=21, edits=100)
