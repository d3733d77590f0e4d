"""Plans: sizes against real models and files, counts by hand, times against measured ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks import study_plan
from editsuite.cards import known_cards, resolve_card, tiny_model
from editsuite.cards.families import FAMILIES
from editsuite.cli import app
from editsuite.editors.lookup import lookup_rows
from editsuite.engine import DecoderStack
from editsuite.errors import OptionError
from editsuite.facts import EditRequest
from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX
from editsuite.measures.capabilities.probe import read_items
from editsuite.measures.perplexity import prose
from editsuite.planning import known_machines, plan_runs, read_machine, shape_of
from editsuite.planning.edit import Editing, journal_bytes
from editsuite.planning.look import PROBE_ITEMS, PROBES, asked_of
from editsuite.planning.machine import Work
from editsuite.planning.measured import FACTOR, FILE, compared
from editsuite.planning.tokens import FactTokens, fact_tokens, search_rows
from editsuite.presets import PresetRun, expand, read_preset
from editsuite.runs.settings import RunSettings

DEFAULT = "smollm2-135m-instruct"
ROOT = Path(__file__).resolve().parents[1]
BASE = RunSettings(
    model=DEFAULT,
    facts="builtin",
    counts=(1, 2),
    layers=(5,),
    seed=0,
    device="cpu",
    dtype="float32",
    cache=Path("nowhere"),
)
CPU = read_machine("cpu", threads=2)


@pytest.mark.parametrize("name", known_cards())
def test_the_shape_of_a_card_adds_up_to_its_parameters(name: str) -> None:
    """Matrices, and the vectors: norms, and the biases and positions of GPT-2."""
    card = resolve_card(name)
    shape = shape_of(card)
    h, f = shape.hidden, shape.ffn
    vectors = 2 * h
    if card.architecture == "gpt2":
        vectors = (3 * h + h) + (f + h) + 4 * h
    total = shape.layers * (shape.layer + vectors) + shape.head * (1 if shape.tied else 2)
    total += 2 * h + card.context_length * h if card.architecture == "gpt2" else h
    assert total == card.parameters


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_the_shape_of_a_folder_is_that_of_its_matrices(architecture: str, tmp_path: Path) -> None:
    tiny = tiny_model(architecture)
    tiny.model.config.save_pretrained(tmp_path)
    shape = shape_of(replace(tiny.card, source=str(tmp_path)))
    stack = DecoderStack(tiny)
    matrices = [p.numel() for p in stack.layers[0].parameters() if p.ndim == 2]
    assert shape.layer == sum(matrices)
    weight = tiny.down_proj_weight(0)
    assert {shape.hidden, shape.ffn} == set(weight.shape)
    assert shape.head == tiny.card.vocab_size * tiny.card.hidden_size


def test_the_rows_of_a_search_are_those_that_are_searched_on() -> None:
    """One prefix is the empty one: prompt and essence, counted by the editor's own rows."""
    stack = DecoderStack(tiny_model("llama"))
    fact = EditRequest(prompt="The sea near Vole is", subject="Vole", target_new="grey")
    rows = lookup_rows(stack, fact, ("",))
    bare, essence = rows
    told = FactTokens(
        prompt=len(bare.ids) - len(bare.target) + 1,
        lookup=bare.lookup,
        target=len(bare.target),
        essence=len(essence.ids),
        essence_lookup=essence.lookup,
        rephrase=0,
    )
    found = search_rows(told, 1)
    assert found.tokens == sum(len(row.ids) for row in rows)
    assert found.earlier == sum(row.lookup for row in rows)
    assert found.read == len(bare.target) + 1


def _journals() -> list[dict[str, Any]]:
    told: dict[str, list[dict[str, Any]]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return told["journals"]


@pytest.mark.parametrize("one", _journals(), ids=lambda one: str(one["method"]))
def test_an_entry_is_as_large_as_the_files_are(one: dict[str, Any]) -> None:
    """MEND's parts differ from fact to fact; the others' sizes are known beforehand."""
    edit = Editing(one["method"], tuple(one["layers"]), 1, {}, fact_tokens("builtin"), 4)
    planned = journal_bytes(edit, shape_of(resolve_card(DEFAULT)))
    room = 0.35 if one["method"] == "mend" else 0.03
    assert planned == pytest.approx(one["bytes"], rel=room)


def test_an_entry_of_rome_on_seven_billion_is_two_vectors() -> None:
    """By hand: (4096 + 11008) float32, and the record."""
    edit = Editing("rome", (5,), 1, {}, fact_tokens("zsre"), 4)
    assert journal_bytes(edit, shape_of(resolve_card("llama-2-7b"))) == 4 * 15104 + 1000


@pytest.mark.parametrize("one", list(compared()), ids=lambda one: f"{one.name}-{one.threads}")
def test_a_plan_is_within_a_factor_of_two_of_what_was_measured(one: Any) -> None:
    assert 1 / FACTOR <= one.factor <= FACTOR


def test_the_page_shows_what_is_reckoned_now() -> None:
    text = study_plan.PAGE.read_text(encoding="utf-8")
    assert study_plan.with_table(text) == text, "run python -m benchmarks.study_plan"


def test_the_pages_have_the_measured_times() -> None:
    """Each record's number stands on its page."""
    for one in compared():
        text = (ROOT / one.page).read_text(encoding="utf-8").replace(",", "")
        minutes, seconds = divmod(round(one.measured), 60)
        words = (f"{one.measured:g}", f"{one.measured:.2f}", f"{minutes} min {seconds:02d} s")
        more = (f"{one.measured:.1f}", f"{one.measured - 0.18:.2f}")  # 529.82 is told as 530
        assert any(word in text for word in (*words, *more)), (one.page, one.measured)


def test_the_prose_is_as_long_as_is_planned() -> None:
    """The first token of a passage is given, all others are scored."""
    asked = asked_of("perplexity", BASE.capabilities, fact_tokens("builtin"), 0, 0.0)
    assert asked.items == len(prose())
    assert asked.scored == pytest.approx(asked.tokens - len(prose()))


def test_probes_have_as_many_items_as_are_planned() -> None:
    folder = ROOT / "editsuite" / "measures" / "capabilities" / "probes"
    for name in CAPABILITIES:
        kept = [item for item in read_items(folder / f"{name}.jsonl") if item.get("kept", True)]
        assert PROBES.get(name, PROBE_ITEMS) == len(kept), name


def run(*measures: str, methods: tuple[str, ...] = ("rome",), **changed: Any) -> PresetRun:
    return PresetRun(replace(BASE, **changed), methods, measures)


def looks(*runs: PresetRun) -> dict[str, int]:
    return {look.measure: look.looks for look in plan_runs(runs, CPU).looks}


def test_looks_are_counted_by_hand() -> None:
    """After 1 and 2 edits: individual recall looks at both states, perplexity at 0, 1 and 2."""
    found = looks(run("recall.individual", "recall.sequential", "perplexity", "parameters"))
    assert found == {
        "recall.individual": 2,
        "recall.sequential": 2,
        "perplexity": 3,
        "parameters": 2,
    }


def test_chains_share_the_unedited_model() -> None:
    two = looks(run("perplexity", layers=(5, 20)))
    assert two == {"perplexity": 1 + 2 * 2}


def test_temperatures_share_a_chain_and_what_scores_options_is_asked_once() -> None:
    found = expand(read_preset("table-3"), BASE)
    plan = plan_runs(found.runs, CPU)
    assert [(c.case.method, c.case.layers, c.edits) for c in plan.chains] == [("rome", (23,), 100)]
    assert {look.measure: look.looks for look in plan.looks} == {"capability.commonsense": 5}
    written = replace(BASE, capabilities=replace(BASE.capabilities, data=Path("data")))
    plan = plan_runs(expand(read_preset("table-3"), written, explicit={"data"}).runs, CPU)
    assert {look.measure: look.looks for look in plan.looks} == {"capability.commonsense": 20}


def test_samples_are_chains_of_their_own() -> None:
    plan = plan_runs(expand(read_preset("table-11"), BASE).runs, CPU)
    assert [chain.sample for chain in plan.chains] == [0, 1, 2, 3]
    assert plan.states == 4 * 5


@given(st.sets(st.integers(1, 500), min_size=1, max_size=4), st.integers(1, 500))
def test_more_edits_take_no_less(counts: set[int], more: int) -> None:
    one = plan_runs([run("parameters", counts=tuple(sorted(counts)))], CPU)
    two = plan_runs([run("parameters", counts=tuple(sorted({*counts, more})))], CPU)
    assert two.seconds >= one.seconds
    assert two.disk.journal >= one.disk.journal
    assert one.chains[0].edits == max(counts)


@given(
    flops=st.floats(0, 1e15), passes=st.floats(0, 1e4), size=st.floats(0, 1e11), n=st.integers(1, 9)
)
def test_a_machine_adds_up_its_work(flops: float, passes: float, size: float, n: int) -> None:
    """n times the work takes n times as long, and twice the threads never longer."""
    one = CPU.seconds(Work(flops, passes, size, 32))
    assert CPU.seconds(Work(n * flops, n * passes, size, 32)) == pytest.approx(n * one)
    assert read_machine("cpu", threads=4).seconds(Work(flops, passes, size, 32)) <= one


def test_a_layer_s_products_take_what_the_engine_s_page_measured() -> None:
    """docs/engine.md, one thread: 12, 45 and 150 rows at 48 to 61, 82 to 83, 95 to 99 GFLOP/s."""
    entries = shape_of(resolve_card(DEFAULT)).layer
    machine = replace(read_machine("cpu", threads=1), launch=0.0)
    for rows, low, high in ((12, 48, 61), (45, 82, 83), (150, 95, 99)):
        flops = 2.0 * rows * entries
        speed = flops / machine.seconds(Work(flops, 1, 4.0 * entries, 1)) / 1e9
        assert 0.9 * low <= speed <= 1.1 * high


def test_all_items_are_the_papers_table_6() -> None:
    choice = replace(BASE.capabilities, data=Path("hub"), items="all")
    facts = fact_tokens("zsre")
    found = {name: asked_of(PREFIX + name, choice, facts, 0, 0.0).items for name in CAPABILITIES}
    assert found["commonsense"] == 1221
    assert found["multilingual"] == 6322
    assert asked_of(f"{PREFIX}code", replace(choice, items=40), facts, 0, 0.0).items == 40


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(OptionError, match=r"--gpu is 'abacus'; it can be .*h100"):
        read_machine("abacus")
    with pytest.raises(OptionError, match="what a look of 'mood' takes is not known"):
        plan_runs([run("mood")], CPU)
    with pytest.raises(OptionError, match="layer 40 is asked of"):
        plan_runs([run("parameters", layers=(40,))], CPU)


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1"})


def test_the_command_prints_chains_states_items_disk_memory_and_hours(runner: CliRunner) -> None:
    words = ["plan", "--edit-preset", "table-4", "--edit-model", "llama-2-7b", "--gpu", "a100-80gb"]
    result = runner.invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "6 chains, 48 states, about" in result.stdout
    for text in ("rome-L30", "answers", "disk: journal", "memory: weights", "No GPU was measured"):
        assert text in result.stdout
    assert "does not fit" not in result.stdout
    small = runner.invoke(app, [*words[:-1], "l4"])
    assert "does not fit: 2" in small.stdout
    assert "--edit-dtype bfloat16" in small.stdout


def test_the_command_tells_machines_the_same(runner: CliRunner) -> None:
    words = ["plan", "--edit-methods", "memit", "--edit-counts", "10,20", "--edit-batch-size", "10"]
    result = runner.invoke(app, [*words, "--threads", "2", "--json"])
    assert result.exit_code == 0, result.output
    (plan,) = json.loads(result.stdout)["plans"]
    assert plan["states"] == 2
    assert plan["chains"][0]["case"] == "memit-b10-L4-5-6-7"
    assert plan["chains"][0]["edits"] == 20
    named = {look["measure"] for look in plan["looks"]}
    assert {"recall.sequential", "capability.code", "perplexity"} <= named


def test_the_command_plans_the_papers_own_models(runner: CliRunner) -> None:
    result = runner.invoke(
        app, ["plan", "--edit-preset", "table-8", "--edit-model", "paper", "--gpu", "h100"]
    )
    assert result.exit_code == 0, result.output
    assert "llama-2-7b on" in result.stdout
    assert "llama-2-7b-chat on" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--edit-preset", "table-6"], "table-6 has no runs"),
        (["--edit-preset", "table-4", "--edit-model", "gpt9"], "gpt9"),
        (["--gpu", "abacus"], "it can be"),
        (["--edit-methods", "roam"], "known are"),
        (["--edit-counts", "0"], "none under 1"),
    ],
)
def test_the_command_refuses_in_words(runner: CliRunner, words: list[str], message: str) -> None:
    result = runner.invoke(app, ["plan", *words])
    assert result.exit_code == 2
    assert message in result.stderr


def test_every_machine_can_be_asked_for() -> None:
    for name in known_machines():
        for dtype in ("float32", "bfloat16", "float16"):
            assert read_machine(name, dtype, 1).flops > 0
