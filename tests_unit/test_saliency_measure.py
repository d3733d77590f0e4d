"""The measure of saliency: what a look holds, and how it goes through runs and checks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checks_ import Checks, make_checks
from saliency_ import Push
from torch import nn

from editsuite.cards import LoadedModel, tiny_model
from editsuite.chains import Chain
from editsuite.engine import Continuation, DecoderStack, score
from editsuite.errors import MeasureError
from editsuite.measures import Look, Saliency, View, measures
from editsuite.measures.capabilities.battery import Battery
from editsuite.measures.capabilities.benchmark import BENCHMARKS
from editsuite.measures.capabilities.capability import Capability
from editsuite.measures.capabilities.choice import Choice
from editsuite.measures.capabilities.documents import commonsense_qa
from editsuite.measures.saliency.flows import FLOWS, Flows
from editsuite.measures.saliency.places import tokenized
from editsuite.measures.saliency.sentences import LABELS
from editsuite.measures.saliency.shots import builtin_shots
from editsuite.measures.saliency.source import SALIENCY
from editsuite.plugin.baseline_places import BaselinePlaces
from editsuite.plugin.options import read_settings
from editsuite.runs import Case, Run
from editsuite.runs.measuring import Measures
from editsuite.runs.settings import RunSettings

pytestmark = pytest.mark.usefixtures("one_thread")

SHOTS = builtin_shots()[:3] + builtin_shots()[-3:]


def view(loaded: LoadedModel) -> View:
    return View(DecoderStack(loaded), (), {})


# --- a look ------------------------------------------------------------------------------------


def test_a_look_holds_what_transformers_shows_prompt_by_prompt() -> None:
    loaded = tiny_model("llama", 11)
    seen = json.loads(json.dumps(Saliency(SHOTS).look(view(loaded))))
    model: Any = loaded.model
    model.set_attn_implementation("eager")
    embedding: nn.Module = loaded.module(loaded.family.embedding)
    for i, shot in enumerate(SHOTS):
        prompt = tokenized(loaded.tokenizer, shot)
        entering = embedding(torch.tensor([prompt.ids])).detach().requires_grad_()
        out = model(inputs_embeds=entering, output_attentions=True, use_cache=False)
        logits = out.logits[0, -1]
        chosen = logits[list(prompt.labels)]
        loss = nn.functional.cross_entropy(chosen[None], torch.tensor([prompt.right]))
        assert seen["losses"][i] == pytest.approx(float(loss.detach()), rel=1e-4)
        assert seen["chosen"][i] == int(chosen.argmax())
        assert (seen["first"][i] >= 0) == (int(logits.argmax()) in prompt.labels)
        assert seen["ids"][i] == shot.id
        assert seen["right"][i] == shot.label
        flows = Flows.of(len(prompt.ids), prompt.places)
        grads = torch.autograd.grad(loss, out.attentions)
        for layer, (a, g) in enumerate(zip(out.attentions, grads, strict=True)):
            means = flows.means((a * g).sum(dim=1)[0].abs().detach().double())
            ours = [seen["scales"][i] * seen["flows"][i][f][layer] for f in range(len(FLOWS))]
            assert ours == pytest.approx(means, rel=1e-3, abs=1e-9)


def test_the_order_of_prompts_and_their_company_change_no_bit() -> None:
    loaded = tiny_model("gpt2", 12)
    forth = Saliency(SHOTS).look(view(loaded))
    back = Saliency(SHOTS[::-1]).look(view(loaded))
    alone = Saliency(SHOTS[1:2], by_layer=True).look(view(loaded))
    small = Saliency(SHOTS).look(View(DecoderStack(loaded, token_budget=7), (), {}))
    for name, held in forth.items():
        assert back[name][::-1] == held
        assert alone[name] == held[1:2]
    assert small == forth
    assert Saliency(SHOTS).identity != Saliency(SHOTS[::-1]).identity
    assert Saliency(SHOTS).identity == Saliency(SHOTS, by_layer=True).identity


def test_first_tokens_are_counted_over_the_whole_vocabulary() -> None:
    """A head that puts one label above all, another that puts a foreign letter there."""
    loaded = tiny_model("gpt2", 13)
    head = loaded.model.get_parameter("transformer.wte.weight")  # tied to the embedding
    norm: Any = loaded.module(loaded.family.final_norm)
    labels = tokenized(loaded.tokenizer, SHOTS[0]).labels
    for token, valid in ((labels[1], True), (labels[0] + 1, False)):
        with torch.no_grad():
            head[:, 0], head[token, 0], norm.bias[0] = 0.0, 50.0, 50.0
        seen = Saliency(SHOTS).look(view(loaded))
        assert seen["first"] == [1 if valid else -1] * len(SHOTS)
        found = {o.name: o.value for o in Saliency(SHOTS).observe(0, {Look(0): seen})}
        assert found["saliency.first_token.valid"] == float(valid)
        right = sum(s.label == 1 for s in SHOTS) / len(SHOTS) if valid else 0.0
        assert found["saliency.first_token.accuracy"] == right


def test_accuracy_is_that_of_the_engines_scores() -> None:
    loaded = tiny_model("llama", 14)
    stack = DecoderStack(loaded)
    seen = Saliency(SHOTS).look(View(stack, (), {}))
    for i, shot in enumerate(SHOTS):
        prompt = tokenized(loaded.tokenizer, shot)
        asked = [Continuation(prompt.ids, (label,)) for label in prompt.labels]
        log_probs = [s.log_probs[0] for s in score(stack, asked)]
        assert seen["chosen"][i] == log_probs.index(max(log_probs))
        gap = log_probs[1 - prompt.right] - log_probs[prompt.right]
        assert seen["scales"][i] == pytest.approx(1 / (1 + 2.718281828459045**-gap), abs=1e-5)


def test_an_adapter_changes_the_look_and_is_taken_off() -> None:
    loaded = tiny_model("llama", 15)
    stack = DecoderStack(loaded)
    before = Saliency(SHOTS).look(View(stack, (), {}))
    with stack.adapted(Push(1, loaded.family.down_proj)):
        edited = Saliency(SHOTS).look(View(stack, (), {}))
    assert edited["flows"] != before["flows"]
    assert Saliency(SHOTS).look(View(stack, (), {})) == before


def test_a_model_that_says_nan_is_seen_as_broken() -> None:
    loaded = tiny_model("llama", 16)
    before = Saliency(SHOTS).look(view(loaded))
    loaded.down_proj_weight(1).data[:] = torch.nan
    after = Saliency(SHOTS).look(view(loaded))
    found = {o.name: o for o in Saliency(SHOTS).observe(1, {Look(0): before, Look(1): after})}
    assert found["saliency.pattern.s_pq"].value != found["saliency.pattern.s_pq"].value
    assert found["saliency.first_token.valid"].value == 0.0


def test_a_prompt_that_the_model_cannot_read_is_refused() -> None:
    loaded = tiny_model("llama", context_length=64)
    with pytest.raises(MeasureError, match=r"prompt sentiment-\d+ has \d+ tokens, .* reads 64"):
        Saliency(SHOTS).look(view(loaded))


# --- runs and checks ---------------------------------------------------------------------------


def sst2(folder: Path) -> Path:
    """SST-2's form, with sentences of our own."""
    lines = [f"{s.id} .\t{s.label}\n" for s in builtin_shots()]
    file = folder / "sst2" / "dev.tsv"
    file.parent.mkdir(parents=True)
    file.write_text("sentence\tlabel\n" + "".join(lines), encoding="utf-8")
    return folder


def test_a_run_measures_sst2_where_it_has_a_folder(tmp_path: Path) -> None:
    settings = RunSettings("tiny", "builtin", (1,), None, 0, "cpu", "float32", tmp_path)
    own = Measures(settings)[SALIENCY]
    assert own.identity == measures()[SALIENCY].identity
    data = sst2(tmp_path)
    choice = Choice(data=data, items=5)
    theirs = Measures(dataclasses.replace(settings, capabilities=choice))[SALIENCY]
    assert isinstance(theirs, Saliency)
    assert len(theirs.shots) == 5
    assert all(" .\nSentiment:" in shot.text for shot in theirs.shots)
    assert theirs.identity != own.identity


@pytest.fixture
def checks(
    pytester: pytest.Pytester,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Checks:
    return make_checks(pytester, tmp_path_factory, monkeypatch, "saliency-cache")


def test_a_check_holds_saliency_and_leaves_out_what_is_not_there(checks: Checks) -> None:
    test = "tests_analysis/test_saliency.py"
    assert checks.inside(test, "--snapshot-update", counts="1").parseoutcomes()["passed"] == 1
    (group,) = json.loads(checks.baseline().read_text())["baselines"].values()
    assert "saliency.pattern.s_wp" in group["observations"]
    assert len(group["observations"]) < 30
    assert checks.inside(test, counts="1").parseoutcomes() == {"passed": 1}
    data = checks.folder / "data"
    data.mkdir()
    result = checks.inside(test, f"--edit-data={data}", "-rs", counts="1")
    assert result.parseoutcomes() == {"skipped": 1}
    result.stdout.fnmatch_lines([f"*SKIPPED*sst2: {data}*"])
    sst2(data)
    options = (f"--edit-data={data}", "--edit-items=4", "--edit-missing-baseline=observe")
    assert checks.inside(test, *options, counts="1").parseoutcomes() == {"passed": 1}


def test_a_state_of_a_chain_is_seen_as_it_is(checks: Checks) -> None:
    config = checks.pytester.parseconfig(*checks.options())
    run = Run(read_settings(config))
    run.measures._made[SALIENCY] = Saliency(SHOTS)
    case = Case("rome_noc", (1,))
    values = {o.name: o.value for o in run.observe(case, 2, [SALIENCY])}
    assert values["saliency.moved"] > 0
    chain: Chain = run.chain(case)
    chain.go(2)
    twin = Saliency(SHOTS).look(View(DecoderStack(run.stack.loaded), (), {}))
    measure = run.measures[SALIENCY]
    assert run.take(case, measure, Look(2))["flows"] == twin["flows"]
    places = BaselinePlaces(Path("b"), "auto", run.settings, run)
    other = dataclasses.replace(run.settings, capabilities=Choice(data=Path("d"), items=7))
    asked = BaselinePlaces(Path("b"), "auto", other, run)
    assert places._asked([SALIENCY]) == []
    assert asked._asked([SALIENCY]) == ["sst2", "items7"]
    assert asked._asked(["perplexity"]) == []
    chain.go(0)


# --- first tokens of CommonsenseQA -------------------------------------------------------------


def test_first_tokens_that_are_an_answer_stand_beside_the_score() -> None:
    """Layer 30 of the paper's D.3: one letter said again and again is valid and mostly wrong."""
    benchmark = BENCHMARKS["commonsense_qa.generation"]
    assert benchmark.answers == commonsense_qa.LETTERS
    battery = Battery("commonsense", benchmark.key, (), "", answers=benchmark.answers)
    before = {"weights": [1.0] * 4, "scores": [1.0] * 4, "gold": [0.0] * 4, "replies": [" A"] * 4}
    after = {**before, "scores": [1.0, 0.0, 0.0, 0.0], "replies": [" C", "C", " F", "\n"]}
    seen = {Look(0): before, Look(3): after}
    found = {o.name: o for o in Capability(battery).observe(3, seen)}
    assert found["capability.commonsense.valid"].value == 0.5
    assert found["capability.commonsense.score"].value == 0.25
    plain = dataclasses.replace(battery, answers=())
    assert "capability.commonsense.valid" not in {
        o.name for o in Capability(plain).observe(3, seen)
    }


def test_only_what_reads_one_token_has_answers() -> None:
    having = [key for key, one in BENCHMARKS.items() if one.answers]
    assert having == ["commonsense_qa.generation"]
    assert LABELS == ("negative", "positive")
