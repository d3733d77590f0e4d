"""The table of methods: what stands in the baselines, and the paper's numbers as printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.study_methods import BEGIN, END, HEAD, SCORES, main, paper, table
from editsuite.errors import OptionError


def write(folder: Path, method: str, stem: str, edits: int, value: float) -> None:
    """A baseline file of one state, all its scores one value."""
    groups: dict[str, object] = {}
    for part in ("reliability", "generalization"):
        names = [f"{part}.{scope}.{mode}" for scope, p in SCORES if p == part for mode in MODES]
        observations = {name: {"value": value, "tolerance": 0.0} for name in names}
        groups[f"test_{part}[x-n{edits}]"] = {"plan": "p", "observations": observations}
    (folder / method).mkdir(parents=True, exist_ok=True)
    path = folder / method / f"{stem}.json"
    path.write_text(json.dumps({"schema": 1, "baselines": groups}))


MODES = ("teacher_forced", "generated")


def test_the_tables_cells_are_the_baselines_and_the_papers(tmp_path: Path) -> None:
    write(tmp_path, "rome", "L5", 10, 0.125)
    write(tmp_path, "rome", "L5.zsre-12345678.s0.float32", 10, 0.5)  # another plan: left out
    write(tmp_path, "rome", "L5.b10", 10, 0.25)
    _, _, *rows = table(tmp_path, "generated")
    assert [line.count("|") for line in rows] == [len(HEAD) + 1] * 2
    by_file = {line.split(" | ")[1]: line for line in rows}
    assert by_file["L5"].count("12.5") == by_file["L5.b10"].count("25.0") == 4
    assert by_file["L5"].rstrip(" |").endswith("66.7 | 69.7 | 93 | 87.3")


def test_the_papers_table_has_its_thirteen_rows() -> None:
    printed = paper()
    assert len(printed) == 13
    assert printed["memit", 100]["sequential", "reliability"] == "0.07"
    # What the paper says of it: recall right after an edit holds for ROME and falls for MEND.
    individual = {m: printed[m, 100]["individual", "reliability"] for m in ("rome", "mend")}
    assert float(individual["rome"]) > 90 > 20 > float(individual["mend"])


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here")
    with pytest.raises(OptionError, match="the page needs one"):
        main(page=page, baselines=tmp_path)
    assert page.read_text() == "nothing here"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(tmp_path / "smollm2-135m-instruct", "rome", "L5", 1, 1.0)
    main(page=page, baselines=tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("100.0") == 2 * len(SCORES)
