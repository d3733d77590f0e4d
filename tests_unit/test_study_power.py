"""The studies of the gate: they see what the checks see, catch what is gross, and go on."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from checks_ import FACTS, tiny_folder
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks import gate, noise_page, power_page, study_noise, study_power
from benchmarks.bench import ROOT
from benchmarks.committed import DEFAULT_BASELINES, DEFAULT_CARD, Chain
from benchmarks.gate import Baseline, Check, baseline_of, checks, checks_in, chosen_checks
from benchmarks.pool import in_processes
from benchmarks.reordered import Mixed, Reordered, order_of, reordered
from benchmarks.spoilt.entrant import Entrant
from benchmarks.spoilt.entrants import ENTRANTS, HONEST
from benchmarks.spoilt.promises import PROMISES, UP_TO, broken, promises_of
from benchmarks.study_noise import Repeat, repeats, used, verdict
from benchmarks.study_power import Asked, keep, read_record, said, study
from editsuite.cards import resolve_card
from editsuite.editors import method
from editsuite.editors.rome import BoundRome
from editsuite.errors import BaselineError, EditError, EditsuiteError, OptionError
from editsuite.measures import View, measures
from editsuite.plugin.baseline_file import update_file
from editsuite.runs import Case, Run, RunSettings
from editsuite.runs.opening import cases_of
from editsuite.verdicts import Comparison, Expected, compare

COUNTS = (1, 2)
#: Checks that take little time on a tiny model.
QUICK = "reliability,generalization,locality,parameters"


# --- the checks --------------------------------------------------------------------------------


def marked(root: Path) -> dict[str, tuple[str, ...]]:
    """Checks with their measures, as Python itself sees them when the files are imported."""
    found = {}
    for folder in gate.FOLDERS:
        for file in sorted((root / folder).glob("test_*.py")):
            spec = importlib.util.spec_from_file_location(f"checks_of_{file.stem}", file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            for name, function in vars(module).items():
                for mark in getattr(function, "pytestmark", ()):
                    if name.startswith("test_") and mark.name == "edit_measures":
                        found[name.removeprefix("test_")] = tuple(mark.args)
    return found


def test_the_checks_are_those_of_the_suite() -> None:
    """But for those that ask for findings, which hold no number of a measure by itself."""
    found, known = checks(), marked(ROOT)
    assert {"reliability", "generalization", "locality", "parameters", "perplexity"} <= set(found)
    assert {name: check.measures for name, check in found.items()} == {
        name: known[name] for name in found
    }
    for name in set(known) - set(found):
        (text,) = (t for t in texts() if f"def test_{name}(" in t)
        body = text.partition(f"def test_{name}(")[2].partition("\ndef ")[0]
        assert "observed(" not in body
    assert found["reliability"].prefix == "reliability"
    assert found["reliability"].group("rome-L5", 10) == "test_reliability[rome-L5-n10]"


def texts() -> list[str]:
    return [f.read_text() for folder in gate.FOLDERS for f in (ROOT / folder).glob("test_*.py")]


def test_a_check_is_read_from_its_file() -> None:
    text = """
@pytest.mark.edit_measures("a", "b")
@pytest.mark.slow
def test_one(observed, baseline):
    assert observed("p.q") == baseline

@pytest.mark.edit_measures("a")
def test_findings(findings, baseline):
    assert findings() == baseline

def test_unmarked(observed):
    assert observed("x")
"""
    assert list(checks_in(text, "f")) == [Check("one", ("a", "b"), "p.q", "f")]


def test_checks_are_chosen_by_name_or_without_capabilities() -> None:
    usual = {check.name for check in chosen_checks("", capabilities=False)}
    assert usual < {check.name for check in chosen_checks("", capabilities=True)}
    assert "code" not in usual
    (code,) = chosen_checks("code", capabilities=False)
    assert code.measures == ("capability.code",)
    with pytest.raises(OptionError, match="no check 'coda'"):
        chosen_checks("coda", capabilities=True)


@pytest.mark.parametrize("text", ["", "1,", "0", "1,-2", "one"])
def test_numbers_are_whole_and_above_nothing(text: str) -> None:
    assert gate.whole_numbers("2, 1") == [2, 1]
    with pytest.raises(OptionError, match="no list of whole numbers"):
        gate.whole_numbers(text)


@pytest.mark.parametrize("base", sorted({entrant.base for entrant in ENTRANTS.values()}))
@pytest.mark.parametrize("edits", [1, 10])
def test_every_honest_method_has_baselines_of_the_usual_checks(base: str, edits: int) -> None:
    """So that no spoilt editor of it passes for want of something to fail."""
    card = resolve_card(DEFAULT_CARD)
    settings = RunSettings(
        DEFAULT_CARD, "builtin", (edits,), None, 0, "cpu", "float32", Path("unused")
    )
    (case,) = cases_of(settings, card, method(base))
    baseline = baseline_of(DEFAULT_BASELINES, card.name, base, case)
    kept = {c.name for c in baseline.only(chosen_checks("", capabilities=False), edits)}
    assert kept >= {"reliability", "generalization", "locality", "parameters", "perplexity"}


# --- promises ----------------------------------------------------------------------------------


@pytest.mark.parametrize("base", sorted({entrant.base for entrant in HONEST}))
def test_every_honest_method_keeps_its_promises(base: str) -> None:
    card = resolve_card(DEFAULT_CARD)
    layers = "-".join(map(str, card.layers[base]))
    chain = Chain.read(DEFAULT_BASELINES / card.name / base / f"L{layers}.json")
    for edits in (1, 10):
        assert {promise.observation for promise in PROMISES} <= set(chain.values[edits])
        assert broken(base, edits, chain.values[edits]) == {}


@given(value=st.floats())
def test_a_promise_is_broken_beyond_its_limits_and_by_no_number(value: float) -> None:
    for promise in (*PROMISES, *promises_of("mend", 1)):
        found = broken("rome", 1, {promise.observation: value})
        own = {p.name: p for p in promises_of("rome", 1)}[promise.name]
        assert (found == {}) == (own.least <= value <= own.most)
        assert not promise.kept(math.nan)
        assert promise.kept(promise.least) or promise.least == -math.inf
    assert promises_of("rome", UP_TO + 1) == ()


# --- the study, on a tiny model ----------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A tiny model with honest ROME's baselines, and what is asked of it."""

    asked: Asked
    baseline: Baseline


@pytest.fixture(scope="module")
def one_thread_throughout() -> Iterator[None]:
    """One thread, for all that a fixture of this module makes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, one_thread_throughout: None) -> Place:
    root = tmp_path_factory.mktemp("power")
    facts = root / "facts.jsonl"
    facts.write_text("".join(json.dumps(fact) + "\n" for fact in FACTS), encoding="utf-8")
    corpus = root / "text.txt"
    lines = [f"The river {i} of {i * 7} runs from Ash to Oak, {i} miles." for i in range(90)]
    corpus.write_text("\n".join(lines), encoding="utf-8")
    settings = RunSettings(
        model=str(tiny_folder(tmp_path_factory.getbasetemp() / "checks-model")),
        facts=str(facts),
        counts=COUNTS,
        layers=(1,),
        seed=0,
        device="cpu",
        dtype="float32",
        cache=root / "cache",
        hyperparameters={
            "mom2_corpus": f"file:{corpus}",
            "mom2_n_tokens": 3000,
            "v_num_grad_steps": 6,
            "n_contexts": 2,
        },
    )
    known = tuple(chosen_checks(QUICK, capabilities=False))
    asked = Asked(settings, known, root / "baselines")
    run, case = Run(settings), Case("rome", (1,))
    baseline = baseline_of(asked.baselines, run.card.name, "rome", case)
    write(run, case, baseline, known)
    return Place(asked, baseline)


def write(run: Run, case: Case, baseline: Baseline, known: Sequence[Check]) -> None:
    """Baselines of a chain, with the tolerance of another order of sums and no more."""
    groups = {}
    for edits in COUNTS:
        observed = gate.observe(run, case, edits, known)
        for check in known:
            groups[check.group(baseline.case, edits)] = {
                "plan": "p",
                "observations": {
                    n: {"value": o.value, "n": o.n, "unit": o.unit}
                    for n, o in observed[check.name].items()
                },
            }
    update_file(baseline.file, groups)
    held = json.loads(baseline.file.read_text())
    for group in held["baselines"].values():
        for entry in group["observations"].values():
            entry["tolerance"] = 1e-6 * abs(entry["value"])
    baseline.file.write_text(json.dumps(held))


@pytest.fixture(scope="module")
def twin(place: Place) -> dict[str, Any]:
    """What the study finds of the honest editor."""
    return study(ENTRANTS["rome"], place.asked)


def journal_files(place: Place) -> dict[str, int]:
    """When each edit was written."""
    found = place.asked.settings.cache.rglob("chains/*/*.safetensors")
    return {str(path): path.stat().st_mtime_ns for path in found}


def test_the_honest_editor_passes_every_check(place: Place, twin: dict[str, Any]) -> None:
    for edits in map(str, COUNTS):
        held = twin["counts"][edits]
        assert held["failed"] == {}
        assert held["error"] is None
        assert set(held["held"]) == {check.name for check in place.asked.checks}
    assert said(twin) == "rome: 1: passes; 2: passes"


@pytest.mark.parametrize("name", ["rome-sign", "rome-next-fact", "rome-not-inverted"])
def test_what_is_gross_is_caught(place: Place, twin: dict[str, Any], name: str) -> None:
    found = study(ENTRANTS[name], place.asked)
    names = power_page.caught(found, twin)
    assert names["1"]
    assert names["2"]
    for moved in found["counts"]["1"]["failed"].values():
        for one in moved:
            assert abs(one["value"] - one["baseline"]) > one["tolerance"]


def test_a_second_study_edits_nothing_and_says_the_same(place: Place) -> None:
    first = study(ENTRANTS["rome-sign"], place.asked)
    before = journal_files(place)
    assert before
    assert study(ENTRANTS["rome-sign"], place.asked) == first
    assert journal_files(place) == before


def test_the_study_leaves_the_registry_and_other_runs_alone(place: Place) -> None:
    assert method("rome").name == "rome"
    with pytest.raises(OptionError, match="no editing method 'rome-sign'"):
        Run(place.asked.settings).chain(Case("rome-sign", (1,)))
    run, _ = study_power.run_of(ENTRANTS["rome-sign"], place.asked.settings)
    with pytest.raises(OptionError, match="this run has the method rome-sign only"):
        run.chain(Case("memit", (1,)))


@dataclass(frozen=True)
class Stops(BoundRome):
    """Edits once, and refuses the second fact."""

    def edit(self, requests: Any) -> Any:
        if requests[0].id == self.stops_at:
            raise EditError("the loss became nan; stop the chain before this edit")
        return super().edit(requests)

    stops_at: str = ""


def stops(bound: BoundRome, scene: Any) -> BoundRome:
    from benchmarks.spoilt.entrant import recast

    return recast(Stops, bound, stops_at=scene.order[1].id)


stops.__module__ = "benchmarks.spoilt.rome"


def test_an_editor_that_stops_fails_every_check_and_says_why(
    place: Place, twin: dict[str, Any]
) -> None:
    found = study(Entrant("rome-stops", "rome", "it stops", spoiler=stops), place.asked)
    assert found["counts"]["1"]["failed"] == {}
    late = found["counts"]["2"]
    assert set(late["failed"]) == {check.name for check in place.asked.checks}
    assert late["error"].startswith("EditError: the loss became nan")
    cell = power_page.words(found, "2", power_page.caught(found, twin))
    assert cell == "stops: EditError"


def test_where_there_is_no_baseline_the_study_refuses(place: Place) -> None:
    asked = replace(place.asked, settings=replace(place.asked.settings, counts=(3,)))
    with pytest.raises(OptionError, match="holds nothing of rome-L1 after 3 edits"):
        study(ENTRANTS["rome"], asked)
    with pytest.raises(BaselineError, match="has no group"):
        place.baseline.held(place.asked.checks[0], 3, {})


def test_one_that_fails_does_not_stop_the_others() -> None:
    found = []
    with pytest.raises(EditsuiteError, match="1 of 3 failed; -1: ValueError"):  # noqa: PT012
        for result in in_processes(math.isqrt, [9, -1, 16], 1):
            found.append(result)
    assert sorted(found) == [3, 4]


# --- record and page ---------------------------------------------------------------------------


def found_of(name: str, **changes: Any) -> dict[str, Any]:
    """An editor in a record, made up."""
    entrant = ENTRANTS[name]
    state: dict[str, Any] = {"held": ["locality", "parameters"], "broken": {}, "error": None}
    fields: dict[str, Any] = {
        "name": name,
        "base": entrant.base,
        "beside": entrant.beside,
        "wrong": entrant.wrong,
        "by_default": entrant.by_default,
        "identity": {"model": "m", "version": 1},
        "counts": {
            n: {**state, "failed": {check: [] for check in failed}}
            for n, failed in changes.pop("failed", {"1": ()}).items()
        },
    }
    return {**fields, **changes}


def test_the_record_grows_by_counts_and_forgets_another_editors(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "power.json"
    assert read_record(path) == {"entrants": {}}
    keep(path, found_of("rome-sign"))
    keep(path, found_of("rome"))
    keep(path, found_of("rome-sign", failed={"10": ["locality"]}))
    held = read_record(path)["entrants"]
    assert list(held) == ["rome", "rome-sign"]  # as in the list, whoever came first
    assert list(held["rome-sign"]["counts"]) == ["1", "10"]
    keep(path, found_of("rome-sign", failed={"20": ()}, identity={"model": "m", "version": 2}))
    assert list(read_record(path)["entrants"]["rome-sign"]["counts"]) == ["20"]


def test_what_the_twin_fails_is_not_caught() -> None:
    twin = found_of("grace-wide", failed={"1": ["locality"], "10": []})
    found = found_of(
        "grace-never-split", failed={"1": ["locality", "parameters"], "10": ["locality"], "20": []}
    )
    assert power_page.caught(found, twin) == {"1": ["parameters"], "10": ["locality"]}
    assert power_page.caught(found, None) == {}
    assert power_page.words(found, "20", power_page.caught(found, twin)) == ""


def test_the_page_tells_who_is_caught_and_which_honest_one_is() -> None:
    broken = found_of("rome-twice", failed={"1": ["parameters"]})
    broken["counts"]["1"]["broken"] = {"keeps": 0.1}
    record = {
        "entrants": {
            f["name"]: f
            for f in (
                found_of("rome"),
                found_of("memit", failed={"1": ["locality"]}),
                found_of("rome-sign", failed={"1": ["locality", "parameters"]}),
                broken,
                found_of("rome-no-kl", failed={"1": []}),
            )
        }
    }
    text = power_page.content(record)
    assert text.startswith(
        "2 of 3 spoilt editors fail a check that their honest twin passes, 1 of them another one "
        "than `parameters`; 1 break a promise. 1 of 2 honest methods pass every check; not so: "
        "memit."
    )
    assert "| `rome-sign` | the update is subtracted | locality, parameters | - |" in text
    assert "| `rome-twice` | the update is applied twice | parameters | keeps |" in text
    assert "| `rome-no-kl` | the search has no KL term | - | - |" in text
    assert "| `memit` | locality | - |" in text


def test_nothing_is_written_before_there_are_numbers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    marks = (power_page.BEGIN, power_page.END, *power_page.LIST, noise_page.BEGIN, noise_page.END)
    page.write_text("\n".join(marks))
    with pytest.raises(OptionError, match="nothing was measured yet"):
        power_page.write_page({"entrants": {}}, page, Console(quiet=True))
    with pytest.raises(OptionError, match="two repeats at least"):
        noise_page.write_page([], page, Console(quiet=True))
    record = {"entrants": {"rome": found_of("rome")}}
    power_page.write_page(record, page, Console(quiet=True))
    noise_page.write_page([repeat_of(i, {"a": True}) for i in (1, 2)], page, Console(quiet=True))
    text = page.read_text()
    assert "1 of 1 honest methods pass every check." in text
    assert "2 repeats, 1 verdicts each; none flipped." in text
    assert power_page.editors() in text


def test_the_page_lists_every_spoilt_editor_with_what_is_wrong() -> None:
    text = power_page.PAGE.read_text(encoding="utf-8")
    listed = text.partition(power_page.LIST[0])[2].partition(power_page.LIST[1])[0].strip()
    assert listed == power_page.editors()
    for marks in ((power_page.BEGIN, power_page.END), (noise_page.BEGIN, noise_page.END)):
        assert [text.count(mark) for mark in marks] == [1, 1]


# --- noise -------------------------------------------------------------------------------------


def test_twenty_repeats_take_every_pair_and_an_order_each() -> None:
    found = repeats(20, [1, 2], [96, 2048], 2)
    assert [repeat.number for repeat in found] == list(range(1, 21))
    pairs = [(repeat.threads, repeat.token_budget) for repeat in found]
    assert {pairs.count(pair) for pair in pairs} == {5}
    assert [repeat.own_ways for repeat in found] == [True] * 18 + [False] * 2
    assert len({repeat.folder for repeat in found}) == 20


@given(length=st.integers(0, 30), seed=st.integers(0, 50))
def test_an_order_holds_every_item_once_and_follows_from_its_seed(length: int, seed: int) -> None:
    order = order_of(length, seed)
    assert sorted(order) == list(range(length))
    assert reordered(order, seed) == [order[i] for i in order_of(length, seed)]
    assert order == order_of(length, seed)


def test_another_order_asks_the_same_and_sees_the_same(place: Place) -> None:
    """On the kept chain; the items' own numbers but for their last bits."""
    plain, mixed = (Run(replace(place.asked.settings, space=space)) for space in ("", "reordered"))
    mixed.measures = Reordered(mixed.measures, 5)  # type: ignore[assignment]
    case, known = Case("rome", (1,)), place.asked.checks
    one, other = (gate.observe(run, case, 2, known) for run in (plain, mixed))
    assert one.keys() == other.keys() == {check.name for check in known}
    assert gate.values(other) == pytest.approx(gate.values(one), rel=1e-5, abs=1e-7)
    view = View(plain.stack, (), {})
    usual = plain.measures["perplexity"].look(view)
    found = mixed.measures["perplexity"].look(view)
    assert found["tokens"] == usual["tokens"]
    assert found["nll"] == pytest.approx(usual["nll"], rel=1e-5)
    assert len(set(usual["nll"])) == len(usual["nll"])  # so that a mixed-up place would show


def test_a_check_sees_its_own_measures_and_its_prefix(place: Place) -> None:
    run, case = Run(place.asked.settings), Case("rome", (1,))
    everything = Check("everything", ("parameters",), "", "f")
    part = Check("part", ("parameters", "recall.sequential"), "reliability", "f")
    found = gate.observe(run, case, 1, [everything, part])
    assert {name.partition(".")[0] for name in found["everything"]} == {"parameters"}
    assert {name.partition(".")[0] for name in found["part"]} == {"reliability"}
    assert set(gate.values(found)) == {*found["everything"], *found["part"]}


@dataclass
class Listening:
    """A measure that keeps what it is asked about."""

    name: str = "listening"
    identity: str = "x"
    heard: tuple[str, ...] = ()

    def look(self, view: View) -> None:
        self.heard = tuple(request.id for request in view.requests)


def test_a_reordered_measure_is_asked_in_another_order(place: Place) -> None:
    requests, heard = Run(place.asked.settings).order, Listening()
    stack: Any = None
    Mixed(heard, 5).look(View(stack, requests, {}))  # type: ignore[arg-type]
    usual = tuple(request.id for request in requests)
    assert heard.heard != usual
    assert sorted(heard.heard) == sorted(usual)
    assert Reordered(measures(), 5)["perplexity"].identity != measures()["perplexity"].identity
    assert Reordered(measures(), 5)["parameters"] is not None
    assert Mixed(measures()["locality"], 1).identity != Mixed(measures()["locality"], 2).identity


def test_repeats_of_an_honest_method_give_the_same_verdicts(place: Place) -> None:
    """With chains of their own: nothing is taken from the chain that the baselines are of."""
    asked = place.asked
    before = journal_files(place)
    found = [
        study_noise.repeated(asked.settings, "rome", asked.checks, asked.baselines, repeat)
        for repeat in (Repeat(1, 1, 64), Repeat(2, 1, 4096))
    ]
    own = set(journal_files(place)) - set(before)
    assert len(own) == 2 * max(COUNTS)
    assert noise_page.flips(found) == {}
    assert all(v["passes"] for f in found for v in noise_page.verdicts(f).values())
    text = noise_page.content(found)
    assert f"2 repeats, {len(COUNTS) * len(asked.checks)} verdicts each; none flipped." in text
    again = study_noise.repeated(
        asked.settings, "rome", asked.checks, asked.baselines, Repeat(1, 1, 64)
    )
    assert again == found[0]


def repeat_of(number: int, passes: Mapping[str, bool]) -> dict[str, Any]:
    """A repeat in a record, made up: verdicts after one edit."""
    return {
        "repeat": {"number": number, "threads": 1, "token_budget": 96, "own_ways": True},
        "identity": {"case": "rome-L5", "model": "m", "plan": "p"},
        "counts": {
            "1": {
                "verdicts": {
                    name: {"passes": p, "farthest": f"{name}.x", "used": 0.5 if p else 2.0}
                    for name, p in passes.items()
                },
                "values": {"a.x": 1.0 + 0.25 * number},
            }
        },
    }


@given(
    table=st.lists(
        st.fixed_dictionaries({name: st.booleans() for name in ("a", "b")}), min_size=2, max_size=6
    )
)
def test_a_flip_is_a_verdict_that_is_not_always_the_same(table: list[dict[str, bool]]) -> None:
    found = [repeat_of(i, passes) for i, passes in enumerate(table)]
    flipped = noise_page.flips(found)
    for name in ("a", "b"):
        red = sum(not passes[name] for passes in table)
        assert (("1", name) in flipped) == (0 < red < len(table))
        assert flipped.get(("1", name), red) == red
    assert noise_page.spread(found) == pytest.approx(0.25 * (len(table) - 1))
    assert f"{len(flipped)} flipped" in noise_page.content(found) or not flipped


def test_a_kept_repeat_goes_with_its_plan(tmp_path: Path) -> None:
    path = tmp_path / "noise.json"
    for number in (2, 1, 2):
        study_noise.keep(path, repeat_of(number, {"a": True}))
    held = json.loads(path.read_text())["repeats"]
    assert [one["repeat"]["number"] for one in held] == [1, 2]
    other = {**repeat_of(3, {"a": True}), "identity": {"case": "c", "model": "m", "plan": "q"}}
    study_noise.keep(path, other)
    assert study_noise.read_record(path) == [other]
    assert study_noise.read_record(tmp_path / "none.json") == []


@given(
    value=st.floats(-2, 2),
    expected=st.floats(-2, 2),
    tolerance=st.floats(0, 1),
)
def test_more_than_a_whole_tolerance_is_used_just_where_a_number_fails(
    value: float, expected: float, tolerance: float
) -> None:
    (one,) = compare({"x": value}, {"x": Expected(expected, tolerance)})
    if used(one) > 1 + 1e-3:
        assert one.outcome == "fail" or tolerance < 1e-5
    if one.outcome == "fail":
        assert used(one) > 1
    told = verdict([one, Comparison("y", 1.0, Expected(1.0, 0.0), "pass")])
    assert told["passes"] == (one.outcome == "pass")
    assert told["farthest"] == "x"


def test_no_number_uses_up_every_tolerance() -> None:
    (nan,) = compare({"x": math.nan}, {"x": Expected(1.0, 1.0)})
    (missing,) = compare({"x": 1.0}, {})
    assert used(nan) == used(missing) == math.inf
    assert verdict([nan]) == {"passes": False, "farthest": "x", "used": "Infinity"}
