"""Presets: each fits the paper's table, is a run that can be had, and scales as it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from editsuite.cards import resolve_card
from editsuite.cards.card import PAPER_LAYERS
from editsuite.errors import EditsuiteError, OptionError
from editsuite.presets import expand, known_presets, read_preset
from editsuite.presets.reader import FILE
from editsuite.presets.scaling import Scale
from editsuite.runs.settings import TIERS, RunSettings
from editsuite.verdicts.paper import read_table

DEFAULT = "smollm2-135m-instruct"
BASE = RunSettings(
    model=DEFAULT,
    facts="builtin",
    counts=(1, 10),
    layers=None,
    seed=0,
    device="cpu",
    dtype="float32",
    cache=Path("nowhere"),
)
RUN = [name for name in known_presets() if read_preset(name).parts]
#: Columns of the paper's tables, and the measures that fill them.
MEASURED = {
    "mmlu": "capability.knowledge",
    "mbpp": "capability.code",
    "math": "capability.mathematics",
    "bbh": "capability.reasoning",
    "tydiqa": "capability.multilingual",
    "c3": "capability.reading",
    "commonsense_qa": "capability.commonsense",
    "axb": "capability.entailment",
    "sequential_reliability": "recall.sequential",
    "sequential_generalization": "recall.sequential",
    "individual_reliability": "recall.individual",
    "individual_generalization": "recall.individual",
    "reliability": "recall.sequential",
    "generalization": "recall.sequential",
    "answer_perplexity": "answers",
    "text_perplexity": "perplexity",
    "similarity": "parameters",
    "s_wp": "saliency",
    "s_qp": "saliency",
    "s_ww": "saliency",
}


def test_there_is_one_for_every_table_and_every_figure_with_results() -> None:
    tables = [f"table-{n}" for n in range(1, 15)]
    assert list(known_presets()) == [*tables, *(f"figure-{n}" for n in range(3, 11))]
    assert {name for name in known_presets() if name not in RUN} == {"table-5", "table-6"}


@pytest.mark.parametrize("name", [n for n in RUN if n.startswith("table")])
def test_a_preset_runs_what_its_table_prints(name: str) -> None:
    """Models, methods, layers, counts, temperatures, thresholds, samples and columns, each once."""
    preset = read_preset(name)
    table = read_table(int(name.removeprefix("table-")))
    printed: dict[str, set[Any]] = {}
    for row in table.rows:
        for column, value in {**table.outline.given, **row.settings}.items():
            printed.setdefault(column, set()).add(value)
    parts = preset.parts
    assert printed.get("model", set(preset.models)) == set(preset.models)
    assert printed.get("method", {"rome"}) - {"base"} == {m for p in parts for m in p.methods}
    counts = {c for p in parts for c in p.counts}
    assert printed.get("edits", {100}) - {0} == counts
    layers = {layer for p in parts for place in p.places for layer in place}
    assert printed.get("layer", layers) == layers
    assert printed.get("temperature", {0}) == {t for p in parts for t in p.temperatures}
    eps = {one["grace.eps"] for p in parts for one in p.sets if "grace.eps" in one}
    assert printed.get("threshold", eps) == eps
    assert printed.get("sample", {"0"}) == {s for p in parts for s in p.seeds}
    wanted = {MEASURED[c.name] for c in table.columns if c.name in MEASURED}
    assert set(preset.measures) == wanted


def test_the_methods_default_layers_are_those_of_table_5() -> None:
    for row in read_table(5).rows:
        method, layers = row.settings["method"], row.words["edited_layers"]
        assert PAPER_LAYERS[str(method)] == tuple(map(int, layers.replace("/", " ").split()))


@pytest.mark.parametrize("name", RUN)
def test_on_the_papers_own_model_nothing_is_scaled(name: str) -> None:
    preset = read_preset(name)
    for model in preset.models:
        found = expand(preset, replace(BASE, model=model))
        parts = [part for part in preset.parts if model in part.models]
        assert {c for r in found.runs for c in r.settings.counts} == {
            c for part in parts for c in part.counts
        }
        layers = {layer for r in found.runs for layer in r.settings.layers or ()}
        assert layers == {layer for part in parts for place in part.places for layer in place}
        for run in found.runs:
            assert run.settings.facts == "zsre"
            assert run.settings.capabilities.items == "all"
            assert str(run.settings.capabilities.data) == "hub"
        assert not any("by depth" in text or "by tier" in text for text in found.told)


@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("tier", list(TIERS))
def test_on_the_default_model_sizes_are_the_tiers_and_it_says_so(name: str, tier: str) -> None:
    preset = read_preset(name)
    found = expand(preset, BASE, tier=tier)
    depth = resolve_card(DEFAULT).n_layers
    for run in found.runs:
        assert max(run.settings.counts) <= max(TIERS[tier])
        assert all(0 <= layer < depth for layer in run.settings.layers or ())
        assert all(any(c % b == 0 for c in run.settings.counts) for b in run.settings.batches)
    largest = max(c for part in preset.parts for c in part.counts)
    assert any("by tier" in text for text in found.told) == (largest > max(TIERS[tier]))
    assert any(text.startswith(f"model: {DEFAULT} in place of") for text in found.told)
    moved = {
        (paper, here[0])
        for run in found.runs
        for paper, here in run.layers.items()
        if (paper,) != here
    }
    for paper, here in moved:
        assert any(f"{paper} is {here}" in text for text in found.told)


@given(
    layer=st.integers(0, 31),
    other=st.integers(0, 31),
    depth=st.integers(1, 80),
)
def test_layers_keep_their_order_and_their_ends(layer: int, other: int, depth: int) -> None:
    scale = Scale(depth, 32, 100)
    (a,), (b,) = scale.place((layer,)), scale.place((other,))
    assert 0 <= a < depth
    assert a <= b or layer > other
    assert scale.place((0,)) == (0,)
    assert scale.place((31,)) == (depth - 1,)
    assert Scale(32, 32, 100).place((layer,)) == (layer,)
    run = scale.place(tuple(range(min(layer, other), max(layer, other) + 1)))
    assert run == tuple(range(run[0], run[-1] + 1))


def test_fifteen_of_thirty_two_is_fourteen_of_thirty() -> None:
    """By hand: 15 / 31 of 29 is 14.03."""
    assert Scale(30, 32, 100).place((15,)) == (14,)
    assert Scale(12, 32, 100).place((30,)) == (11,)


@given(counts=st.sets(st.integers(1, 2000), min_size=1), most=st.sampled_from([10, 100, 1000]))
def test_counts_beyond_the_tier_go_and_one_always_stays(counts: set[int], most: int) -> None:
    found = Scale(30, 32, most).counts(sorted(counts))
    assert found
    assert max(found.values()) <= most
    assert set(found) <= counts
    assert {c for c in counts if c <= most} <= set(found)


def test_table_3_is_four_runs_over_one_chain() -> None:
    found = expand(read_preset("table-3"), BASE)
    heats = [run.settings.capabilities.temperature for run in found.runs]
    assert heats == [0.0, 0.2, 0.5, 0.8]
    assert {run.settings.layers for run in found.runs} == {(23,)}
    with pytest.raises(OptionError, match=r"4 runs \(--edit-temperature\).*reproduce table-3"):
        found.one()


def test_repeats_go_with_temperatures_above_zero() -> None:
    found = expand(read_preset("table-3"), BASE, repeats=4)
    assert [run.settings.capabilities.repeats for run in found.runs] == [1, 4, 4, 4]


def test_what_is_given_wins_over_the_preset() -> None:
    choice = replace(BASE.capabilities, temperature=0.5)
    base = replace(BASE, counts=(2, 4), layers=(3,), seed=7, capabilities=choice)
    given = {"counts", "layers", "seed", "temperature"}
    run = expand(read_preset("table-3"), base, explicit=given, methods=("r_rome",)).one()
    assert (run.settings.counts, run.settings.layers, run.settings.seed) == ((2, 4), (3,), 7)
    assert run.settings.capabilities.temperature == 0.5
    assert run.methods == ("r_rome",)


def test_hyperparameters_that_are_given_join_and_win() -> None:
    base = replace(BASE, hyperparameters={"grace.n_iter": 3, "grace.eps": 40.0})
    runs = expand(read_preset("table-7"), base, explicit={"set"}).runs
    assert [dict(run.settings.hyperparameters) for run in runs] == [
        {"grace.n_iter": 3, "grace.eps": 40.0}
    ]
    assert runs[0].paper["threshold"] == 40.0


def test_what_the_card_says_anyway_is_no_hyperparameter_of_the_run() -> None:
    (run,) = expand(read_preset("table-1"), BASE).runs
    assert run.settings.hyperparameters == {}


def test_models_of_a_figure_that_one_stands_in_for_are_one_run() -> None:
    run = expand(read_preset("figure-7"), BASE).one()
    assert run.methods == ("rome", "rome_noc")
    chat = expand(read_preset("figure-7"), replace(BASE, model="llama-2-7b-chat")).one()
    assert chat.methods == ("rome",)


def test_the_four_samples_are_the_four_seeds() -> None:
    runs = expand(read_preset("table-11"), BASE).runs
    assert [(run.paper["sample"], run.settings.seed) for run in runs] == [
        ("a", 0),
        ("b", 1),
        ("c", 2),
        ("d", 3),
    ]


@pytest.mark.parametrize("name", ["table-5", "table-6"])
def test_a_table_that_describes_says_so(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name} has no runs: the paper's Table"):
        expand(read_preset(name), BASE)


@pytest.mark.parametrize("name", ["table-15", "figure-2", "", "Table-1"])
def test_an_unknown_preset_names_those_there_are(name: str) -> None:
    with pytest.raises(OptionError, match=r"table-1, table-2.*figure-10"):
        read_preset(name)


def _spoil(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    one: dict[str, Any] = raw["table-4"]
    change(one)
    return {"table-4": one}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.update(model="gpt2"), "unknown: model"),
        (lambda one: one.pop("title"), "missing: title"),
        (lambda one: one.update(models=["gpt9"]), "models: unknown: gpt9"),
        (lambda one: one.update(parts=[]), "not both"),
        (lambda one: one.update(describes="methods"), "not both"),
        (lambda one: one["parts"][0].update(methods=["roam"]), "methods: unknown: roam"),
        (lambda one: one["parts"][0].update(counts=[10, 1]), "ascending"),
        (lambda one: one["parts"][0].update(counts=[0]), "from 1"),
        (lambda one: one["parts"][0].update(layers=[[4, 6]]), "consecutive"),
        (lambda one: one["parts"][0].update(layers=[-1]), "layers from 0"),
        (lambda one: one["parts"][0].update(temperatures=[-0.5]), "temperatures from 0"),
        (lambda one: one["parts"][0].update(seeds=["e"]), "a, b, c, d"),
        (lambda one: one["parts"][0].update(sets=[]), "METHOD.NAME"),
        (lambda one: one["parts"].append("rome"), "part 2: is no mapping"),
    ],
)
def test_a_malformed_preset_is_refused_with_its_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    file = tmp_path / "presets.yaml"
    file.write_text(yaml.safe_dump(_spoil(change)), encoding="utf-8")
    with pytest.raises(EditsuiteError, match=message):
        read_preset("table-4", file)


def test_a_preset_knows_its_table() -> None:
    assert [read_preset(n).table for n in ("table-9", "figure-9")] == [9, None]
