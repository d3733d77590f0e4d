"""The harness of the benchmarks, with callables that only move a clock of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.bench import Bench, Compared, Duel, Machine, Side, read_records
from benchmarks.bench_growth import Point, line
from benchmarks.bench_run import Costs
from benchmarks.choices import Item, Wording, chosen, requests_of, same_choices
from benchmarks.table import BEGIN, END, KNOWN, NOT_YET, content, rewritten
from editsuite.errors import OptionError

OURS, RIVAL = (1.0, 9.0, 2.0), (10.0, 30.0, 80.0)


@dataclass
class Room:
    """A clock that moves only when someone works, and a list of who worked."""

    now: float = 0.0
    log: list[str] = field(default_factory=list)

    def side(self, name: str, seconds: tuple[float, ...], *, before: float = 100.0) -> Side:
        def prepare(repeat: int) -> Callable[[], str]:
            self.now += before

            def work() -> str:
                self.log.append(f"{name}{repeat}")
                self.now += seconds[repeat]
                return f"{name}{repeat}"

            return work

        return Side(prepare)

    def duel(self, name: str = "duel", **changes: Any) -> Duel:
        fields: dict[str, Any] = {
            "target": 5.0,
            "n": 7,
            "ours": self.side("a", OURS),
            "rival": self.side("b", RIVAL),
            "compare": lambda ours, rival: Compared(ours[1:] == rival[1:], 0.5),
            "settings": {"items": [1, 2]},
        }
        return Duel(name=name, **{**fields, **changes})

    def bench(self, reports: Path, **changes: Any) -> Bench:
        machine = Machine(cpu="abacus", cores=2, torch="0")
        quiet = Console(quiet=True)
        bench = Bench(
            reports, 2, "python x", machine, "code", console=quiet, clock=lambda: self.now
        )
        return replace(bench, **changes)


@pytest.fixture
def room() -> Room:
    return Room()


def test_the_sides_alternate_and_the_medians_count(room: Room, tmp_path: Path) -> None:
    record = room.bench(tmp_path).run(room.duel(), 3)
    assert room.log == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert (record["ours_s"], record["rival_s"], record["ratio"]) == (2.0, 30.0, 15.0)
    assert record["ours_all"] == list(OURS)
    assert record["rival_all"] == list(RIVAL)
    assert (record["n"], record["threads"], record["target"]) == (7, 2, 5.0)
    assert record["machine"] == {"cpu": "abacus", "cores": 2, "torch": "0", "device": ""}


def test_a_side_may_tell_its_own_time(room: Room, tmp_path: Path) -> None:
    rival = replace(room.side("b", RIVAL), seconds=lambda result: 3.0 + len(result))
    record = room.bench(tmp_path).run(room.duel(rival=rival), 3)
    assert record["rival_all"] == [5.0, 5.0, 5.0]


def test_what_settles_is_timed_too(room: Room, tmp_path: Path) -> None:
    """An accelerator that still works when the call returns is waited for."""

    def settle() -> None:
        room.now += 0.25

    record = room.bench(tmp_path, settle=settle).run(room.duel(), 1)
    assert record["ours_s"] == OURS[0] + 0.25


def test_a_nan_is_no_small_difference(room: Room, tmp_path: Path) -> None:
    found = iter((Compared(True, 0.1), Compared(False, math.nan), Compared(True, 0.2)))
    duel = room.duel(compare=lambda ours, rival: next(found))
    record = room.bench(tmp_path).run(duel, 3)
    assert record["equal"] is False
    assert math.isnan(record["difference"])


def test_one_difference_makes_the_record_unequal(room: Room, tmp_path: Path) -> None:
    found = iter((Compared(True, 0.1), Compared(False, 0.7), Compared(True, 0.2)))
    duel = room.duel(compare=lambda ours, rival: next(found))
    record = room.bench(tmp_path).run(duel, 3)
    assert record["equal"] is False
    assert record["difference"] == 0.7


def interrupted(room: Room, tmp_path: Path) -> Bench:
    """A bench whose second repeat was stopped between the sides."""

    def stop(repeat: int) -> Callable[[], str]:
        if repeat == 1:
            raise KeyboardInterrupt
        return room.side("b", RIVAL).prepare(repeat)

    bench = room.bench(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        bench.run(room.duel(rival=Side(stop)), 3)
    assert room.log == ["a0", "b0", "a1"]
    assert not (tmp_path / "bench.json").exists()
    room.log.clear()
    return bench


def test_an_interrupted_run_goes_on(room: Room, tmp_path: Path) -> None:
    bench = interrupted(room, tmp_path)
    record = bench.run(room.duel(), 3)
    assert room.log == ["a1", "b1", "a2", "b2"]
    assert record["ours_all"] == list(OURS)
    room.log.clear()
    assert bench.run(room.duel(), 3) == record
    assert room.log == []


def test_fewer_repeats_than_are_kept_use_the_first(room: Room, tmp_path: Path) -> None:
    bench = room.bench(tmp_path)
    bench.run(room.duel(), 3)
    assert bench.run(room.duel(), 1)["ours_all"] == [OURS[0]]


@pytest.mark.parametrize(
    "change",
    [
        {"code": "other"},
        {"threads": 1},
        {"machine": Machine(cpu="other", cores=2, torch="0")},
        {"since": math.inf},
    ],
    ids=lambda change: next(iter(change)),
)
def test_timings_of_other_conditions_do_not_count(
    change: dict[str, Any], room: Room, tmp_path: Path
) -> None:
    interrupted(room, tmp_path)
    room.bench(tmp_path, **change).run(room.duel(), 2)
    assert room.log == ["a0", "b0", "a1", "b1"]


def test_timings_of_other_settings_do_not_count(room: Room, tmp_path: Path) -> None:
    bench = interrupted(room, tmp_path)
    bench.run(room.duel(settings={"items": [1, 3]}), 1)
    assert room.log == ["a0", "b0"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"settings": {}}', "null"])
def test_a_damaged_file_is_measured_anew(text: str, room: Room, tmp_path: Path) -> None:
    bench = interrupted(room, tmp_path)
    (tmp_path / "bench" / "duel.json").write_text(text, encoding="utf-8")
    bench.run(room.duel(), 1)
    assert room.log == ["a0", "b0"]


def test_a_part_is_done_once(room: Room, tmp_path: Path) -> None:
    bench, done = room.bench(tmp_path), []

    def work() -> dict[str, object]:
        done.append(1)
        return {"pair": (1, 2)}

    assert bench.once("part", {}, work) == {"pair": [1, 2]}, "as it will be read"
    assert bench.once("part", {}, work) == {"pair": [1, 2]}
    assert len(done) == 1


def test_a_record_replaces_its_own_name_only(room: Room, tmp_path: Path) -> None:
    bench = room.bench(tmp_path)
    for name in ("one", "two", "three"):
        bench.run(room.duel(name), 1)
    bench.run(room.duel("two", settings={}, n=8), 2)
    records = read_records(tmp_path / "bench.json")
    assert [(r["name"], r["n"], r["repeats"]) for r in records] == [
        ("one", 7, 1),
        ("two", 8, 2),
        ("three", 7, 1),
    ]


def test_the_record_is_whole_json_with_its_details(room: Room, tmp_path: Path) -> None:
    record = room.bench(tmp_path).run(room.duel(details={"shots": (1, 2)}), 1)
    (held,) = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert held == record
    assert held["shots"] == [1, 2]


def test_the_page_keeps_what_is_outside_its_markers() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = rewritten(page, "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert rewritten(once, "new") == once


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_one_pair_of_markers_is_refused(page: str) -> None:
    with pytest.raises(OptionError, match="the page needs one"):
        rewritten(page, "new")


def test_the_table_invents_no_number(room: Room, tmp_path: Path) -> None:
    empty = content([], None)
    assert empty.count(NOT_YET) == len(KNOWN) + 1
    bench = room.bench(tmp_path)
    bench.run(room.duel(KNOWN[0].name), 3)
    bench.run(room.duel("another", target=None), 3)
    text = content(read_records(tmp_path / "bench.json"), None)
    assert text.count(NOT_YET) == len(KNOWN)
    assert f"| `{KNOWN[0].name}` | 2.00 | 30.00 | 15.0 | 5 | yes | `python x` |" in text
    assert "| `another` | 2.00 | 30.00 | 15.0 |  | yes | `python x` |" in text
    assert text.count("abacus") == 1


@given(
    st.floats(0.001, 10), st.floats(-5, 5), st.lists(st.integers(1, 1000), min_size=2, unique=True)
)
def test_the_line_through_points_of_a_line_is_that_line(
    slope: float, intercept: float, places: list[int]
) -> None:
    points = [Point("edits", n, intercept + slope * n, 2 * slope * n, 1000 * n) for n in places]
    found = line(points)
    assert found.slope == pytest.approx(slope, rel=1e-6, abs=1e-9)
    assert found.intercept == pytest.approx(intercept, rel=1e-6, abs=1e-5)
    assert found.r2 == pytest.approx(1.0, abs=1e-6)
    assert found.cpu_slope == pytest.approx(2 * slope, rel=1e-6, abs=1e-9)
    assert found.rss_slope == pytest.approx(1000.0)


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True),
    st.integers(1, 3),
    st.tuples(*[st.integers(0, 9)] * 4),
)
def test_the_plain_total_is_that_of_walking_through_the_run(
    counts: list[int], chains: int, seconds: tuple[int, int, int, int]
) -> None:
    edit, recall, locality, prose = seconds
    total = prose + max(counts) * locality  # the unedited model
    for _ in range(chains):
        for edits in range(1, max(counts) + 1):
            total += edit + recall  # an edit, and its own state asked about it
            if edits in counts:
                total += edits * (recall + locality) + prose
    assert Costs(edit, recall, locality, prose).total(counts, chains) == total


ITEMS = [Item("x", ("A", "B", "C"), 1), Item("y", ("A", "B"), 0)]


def test_the_likeliest_letter_is_chosen_and_the_first_of_equals() -> None:
    answers = [(-3.0, False), (-1.0, True), (-2.0, False), (-0.5, False), (-0.5, False)]
    assert chosen(ITEMS, answers) == [1, 0]


def test_answers_are_the_same_by_their_letters() -> None:
    ours = [(-3.0, False), (-1.0, True), (-2.0, False), (-0.5, False), (-0.6, False)]
    moved = [(value - 0.25, greedy) for value, greedy in ours]
    other = [*ours[:3], (-0.7, False), (-0.6, False)]
    broken = [(math.nan, False), *ours[1:]]
    assert same_choices(ITEMS, ours, moved) == Compared(True, 0.25)
    assert same_choices(ITEMS, ours, other).equal is False
    assert same_choices(ITEMS, ours, broken).equal is False
    assert same_choices(ITEMS, ours, [*ours[:4], (math.nan, False)]).equal is False


def test_all_items_stand_behind_one_block() -> None:
    words = Wording("Q: {{ q.strip() }}\nAnswer:", ("A", "B"), "About.\n\n")
    shots = [{"q": "one ", "answer": 1}, {"q": "two", "answer": 0}]
    items = words.items(shots, [{"q": "three", "answer": 0}, {"q": "four", "answer": 1}])
    block = "About.\n\nQ: one\nAnswer: B\n\nQ: two\nAnswer: A\n\n"
    assert [i.context for i in items] == [
        f"{block}Q: three\nAnswer:",
        f"{block}Q: four\nAnswer:",
    ]
    assert [i.answer for i in items] == [0, 1]


def test_each_letter_is_one_request() -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed (extra capabilities)")
    requests = requests_of(ITEMS, "task")
    assert [r.args for r in requests] == [
        *(("x", f" {letter}") for letter in "ABC"),
        *(("y", f" {letter}") for letter in "AB"),
    ]
    assert [r.doc_id for r in requests] == [0, 0, 0, 1, 1]
