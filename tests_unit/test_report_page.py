from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from typing import Any

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.report import dump_json, load_json
from editsuite.report.charts import draw_charts
from editsuite.report.drawing import ALARM, COLOURS
from editsuite.report.page import render_page
from editsuite.report.panels import panels_of
from editsuite.report.rows import rows_of
from tests_unit.report_data_ import MEASURES, TEST, edit, run_data

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}</pre></td></table>"


class Page(HTMLParser):
    """Reads a page and keeps what the tests ask for; elements must close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.words.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self) -> str:
        shown = (words for tag, words in self.words.items() if tag not in ("script", "style"))
        return " ".join(word for words in shown for word in words)


def hostile_data() -> dict[str, Any]:
    data = run_data()
    for record in data["rows"]:
        record.update(test=HOSTILE, interval=HOSTILE)
    data["rows"][0].update(name=HOSTILE, unit=HOSTILE)
    data["rows"][1]["method"] = HOSTILE + "$\\frac$"
    words = ("facts", "prompt", "target", "answer")
    data["chains"][0]["edits"].append(edit(4, **dict.fromkeys(words, HOSTILE)))
    data["chains"][0].update(plan=HOSTILE, method=HOSTILE)
    data["failures"] = [{"test": HOSTILE, "message": HOSTILE}]
    data["run"].update(model=HOSTILE, command=HOSTILE, versions={HOSTILE: HOSTILE})
    return data


@pytest.fixture(scope="module")
def plain() -> str:
    return render_page(run_data((5, 20)))


def test_foreign_text_is_shown_and_is_never_markup() -> None:
    text = render_page(hostile_data())
    page, clean = Page(text), Page(render_page(run_data()))
    assert len(page.all("script")) == len(clean.all("script")) == 1
    assert page.all("img") == []
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert "alert(" not in "".join(page.words["script"])
    for tag in ("pre", "h3", "td", "dd", "dt"):
        assert any(HOSTILE in word for word in page.words[tag]), tag
    assert "49" not in page.text().split()


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_leaves_the_page_whole(method: str, answer: str) -> None:
    data = run_data(counts=(1,))
    data["rows"] = [{**data["rows"][0], "method": method}]
    data["chains"][0]["edits"][0].update(answer=answer)
    text = render_page(data)
    Page(text)
    text.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_the_page_needs_nothing_but_itself(plain: str) -> None:
    page = Page(plain)
    assert not re.search(r"https?:|//[a-z]", plain)
    assert not re.search(r"@import|url\((?!#)", plain)
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith("#")
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_ids_are_unique_and_links_have_their_aim(plain: str) -> None:
    page = Page(plain)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    aims = {a[n] for _, a in page.tags for n in ("href", "xlink:href") if n in a}
    aims |= {f"#{word}" for word in re.findall(r"url\(#([^)]*)\)", plain)}
    assert aims <= {f"#{name}" for name in ids}
    named = [w for _, a in page.tags for w in (a.get("aria-labelledby") or "").split()]
    assert set(named) <= set(ids)


def test_equal_data_gives_equal_bytes(plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mpl.rcParams, "font.size", 20.0)  # a matplotlibrc of the user's
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    before = dict(mpl.rcParams)
    assert render_page(load_json(dump_json(run_data((5, 20))))) == plain
    assert dict(mpl.rcParams) == before


def test_every_row_and_edit_is_in_the_page(plain: str) -> None:
    page = Page(plain)
    rows = [a for a in page.all("tr") if "data-measure" in a]
    assert len(rows) == 2 * 5 * len(MEASURES)
    assert {a["data-layer"] for a in rows} == {"rome, layer 5", "rome, layer 20"}
    assert len(page.all("details")) == 2
    assert plain.count("builtin-001") == 2


def test_the_verdict_comes_first_and_failures_before_the_curves() -> None:
    data = run_data()
    data["rows"][3].update(value=math.nan, verdict="pass")
    data["failures"] = [{"test": TEST, "message": "it fell"}]
    text = render_page(data)
    page = Page(text)
    assert "Fail" in page.words["strong"]
    assert text.index('id="verdict"') < text.index("it fell") < text.index('id="curves"')
    assert [a["data-verdict"] for a in page.all("tr") if "data-verdict" in a].count("fail") == 1
    assert "NaN" in page.text()


@pytest.mark.parametrize(
    ("verdict", "status", "word"),
    [
        ("pass", 0, "Pass"),
        ("pass", 2, "Fail"),
        ("fail", 0, "Fail"),
        ("observed", 0, "Not compared"),
    ],
)
def test_the_word_of_the_verdict(verdict: str, status: int, word: str) -> None:
    data = run_data(counts=(1,))
    data["rows"] = [{**data["rows"][0], "verdict": verdict}]
    data["run"]["exit_status"] = status
    assert Page(render_page(data)).words["strong"] == [word]


@pytest.mark.parametrize("data", [{}, {"schema": 1, "run": {}, "rows": [], "failures": []}])
def test_nothing_observed_is_a_page_and_no_success(data: dict[str, Any]) -> None:
    page = Page(render_page(data))
    assert page.words["strong"] == ["Fail"]
    assert page.all("svg") == []
    assert "Nothing was observed." in page.text()


@pytest.mark.parametrize("counts", [(10,), (0, 1)])
def test_few_counts_are_drawn(counts: tuple[int, ...]) -> None:
    page = Page(render_page(run_data(counts=counts)))
    assert len(page.all("svg")) == len(page.all("figure")) == 11
    assert all(a["role"] == "img" for a in page.all("svg"))


def test_scopes_share_a_picture_and_units_do_not() -> None:
    panels = panels_of(rows_of(run_data()))
    assert {r.name for r in panels[0].rows} == {
        "reliability.sequential.teacher_forced",
        "reliability.individual.teacher_forced",
    }
    assert all(len({r.unit for r in panel.rows}) == 1 for panel in panels)
    assert sum(len(panel.rows) for panel in panels) == len(run_data()["rows"])


def test_pictures_are_text_without_background() -> None:
    for chart in draw_charts(rows_of(run_data())):
        assert "edits (not to scale)" in chart.svg
        assert "currentColor" in chart.svg
        assert "#ffffff" not in chart.svg
        assert "<metadata" not in chart.svg


@pytest.mark.parametrize("colour", [*COLOURS, ALARM])
def test_colours_are_seen_on_white_and_on_the_dark_page(colour: str) -> None:
    def luminance(code: str) -> float:
        parts = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for back in ("#ffffff", "#14171b"):
        low, high = sorted((luminance(colour), luminance(back)))
        assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 2.2, 1.4.11


def test_a_long_run_with_long_hostile_texts_stays_small() -> None:
    data = run_data(layers=(1, 3, 5, 8, 12, 20, 28), counts=(1, 10, 20, 50, 100))
    long = "<" * 5000 + "\U000e0001" * 5000
    data["rows"] = [{**r, "test": TEST + "x" * 300} for r in data["rows"] * 3]
    data["rows"][-1].update(verdict="fail")
    for chain in data["chains"]:
        chain["edits"] = [edit(i, prompt=long, target=long, answer=long) for i in range(1000)]
    data["failures"] = [{"test": TEST, "message": long}] * 500
    text = render_page(data)
    assert len(text.encode("utf-8")) < 3_000_000
    page = Page(text)
    assert [a["data-verdict"] for a in page.all("tr") if "data-verdict" in a].count("fail") == 1
    for things in ("rows", "edits", "failures", "pictures"):
        assert re.search(rf"\d more {things} ", page.text())
