"""Measures see what transformers' own forward pass and generation show, in any order of looks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch
from chains_ import FakeEditor, chain_of, model
from torch import Tensor

from editsuite.cards import LoadedModel, tiny_model
from editsuite.chains import Chain
from editsuite.editors import LowRank
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest, target_tokens
from editsuite.measures import (
    Answers,
    Judged,
    Locality,
    Look,
    Measure,
    Parameters,
    Perplexity,
    Recall,
    View,
    pearson,
)
from editsuite.measures import measures as all_measures
from editsuite.measures.perplexity import prose
from editsuite.measures.questions import Questions
from editsuite.measures.recall import ask, begins_with

pytestmark = pytest.mark.usefixtures("one_thread")

EDITS = 4


@dataclass(frozen=True)
class Moved:
    original: Tensor
    current: Tensor


@torch.no_grad()
def plain_argmax(loaded: LoadedModel, ids: tuple[int, ...]) -> list[int]:
    model_: Any = loaded.model
    best: list[int] = model_(input_ids=torch.tensor([ids])).logits[0].argmax(dim=-1).tolist()
    return best


def plain_answer(loaded: LoadedModel, ids: tuple[int, ...], n: int) -> list[int]:
    new: list[int] = []
    for _ in range(n):
        new.append(plain_argmax(loaded, (*ids, *new))[-1])
    return new


# --- recall ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "target", "said"),
    [
        (" Paris", "Paris", True),
        ("paris is", "Paris", True),
        ("PARIS.", "paris", True),
        ("\n Paris, of course", "Paris", True),
        ("Paris", "Paris ", True),
        ("Paris's streets", "Paris", True),
        ("Parisian", "Paris", False),
        ("Paris2", "Paris", False),
        ("The Paris", "Paris", False),
        ("Par", "Paris", False),
        ("", "Paris", False),
        ("Port Ashwick!", "port ashwick", True),
        ("Port", "Port Ashwick", False),
        ("C++ code", "C++", True),
        ("1672.", "1672", True),
        ("16720", "1672", False),
        ("STRASSE 5", "Straße", True),
        ("北京。", "北京", True),
    ],
)
def test_an_answer_begins_with_whole_words(answer: str, target: str, said: bool) -> None:
    assert begins_with(answer, target) is said


def test_asking_is_transformers_one_by_one() -> None:
    """Targets made from what the model says itself: all, a part, and none of the tokens right."""
    loaded = tiny_model("gpt2", 51)
    stack, tokenizer = DecoderStack(loaded), loaded.tokenizer
    questions = [
        (prompt, target)
        for prompt in ("The colour of grass is", "Ash", "One, two, three and then comes")
        for target in ("green", "x", "four of them")
    ]
    hits = 0.0
    for (prompt, target), asked in zip(questions, ask(stack, questions), strict=True):
        tokens = target_tokens(tokenizer, prompt, target)
        best = plain_argmax(loaded, tokens.ids[:-1])[-len(tokens.target_ids) :]
        right = sum(a == b for a, b in zip(best, tokens.target_ids, strict=True))
        assert asked.teacher_forced == right / len(tokens.target_ids)
        answer = plain_answer(loaded, tokens.context_ids, len(tokens.target_ids) + 2)
        if tokenizer.eos_token_id in answer:
            answer = answer[: answer.index(tokenizer.eos_token_id)]
        assert asked.answer == tokenizer.decode(answer, skip_special_tokens=True)
        assert asked.generated == float(begins_with(asked.answer, target))
        hits += right
    assert ask(stack, []) == []


def test_a_model_that_says_the_target_is_recalled() -> None:
    """A head that puts one letter above all others, whatever it reads: its argmax is known."""
    loaded = tiny_model("gpt2", 52)
    stack, space = DecoderStack(loaded), loaded.tokenizer(" ")["input_ids"][0]
    weight = loaded.model.get_parameter("transformer.wte.weight")  # the head is tied to it
    norm: Any = loaded.module(loaded.family.final_norm)
    weight.data[space] = 0
    weight.data[space, 0] = 100.0
    norm.bias.data[0] = 100.0
    asked = ask(stack, [("The colour is", "x"), ("Grass", "xyz")])
    # " x" is a space and one letter: the space is right, each letter wrong.
    assert [a.teacher_forced for a in asked] == [1 / 2, 1 / 4]
    assert [a.generated for a in asked] == [0.0, 0.0]


def held(reliability: list[float], generalization: list[float]) -> dict[str, Any]:
    def part(scores: list[float]) -> dict[str, Any]:
        return {
            "teacher_forced": scores,
            "generated": [float(s == 1) for s in scores],
            "answers": [""] * len(scores),
        }

    return {"reliability": part(reliability), "generalization": part(generalization)}


def test_sequential_asks_one_state_about_all_facts() -> None:
    measure = Recall("sequential")
    assert measure.looks(3) == [Look(3, 1, 3)]
    seen = {Look(3, 1, 3): held([1.0, 0.5, 0.0], [0.25, 0.5])}
    values: dict[str, Any] = {o.name: (o.value, o.n) for o in measure.observe(3, seen)}
    assert values == {
        "reliability.sequential.teacher_forced": (0.5, 3),
        "reliability.sequential.generated": (pytest.approx(1 / 3), 3),
        "generalization.sequential.teacher_forced": (0.375, 2),
        "generalization.sequential.generated": (0.0, 2),
    }


def test_individual_asks_every_state_about_its_own_latest() -> None:
    measure = Recall("individual")
    assert measure.looks(3) == [Look(1, 1, 1), Look(2, 2, 2), Look(3, 3, 3)]
    seen = {
        Look(1, 1, 1): held([1.0], [1.0]),
        Look(2, 2, 2): held([0.5], []),
        Look(3, 3, 3): held([1.0], [0.0]),
    }
    values: dict[str, Any] = {o.name: (o.value, o.n) for o in measure.observe(3, seen)}
    assert values["reliability.individual.teacher_forced"] == (pytest.approx(2.5 / 3), 3)
    assert values["reliability.individual.generated"] == (pytest.approx(2 / 3), 3)
    assert values["generalization.individual.teacher_forced"] == (0.5, 2)


def test_a_part_that_no_fact_has_is_left_out() -> None:
    names = {o.name for o in Recall("sequential").observe(1, {Look(1, 1, 1): held([1.0], [])})}
    assert names == {"reliability.sequential.teacher_forced", "reliability.sequential.generated"}


# --- a chain under all measures ----------------------------------------------------------------

REQUESTS = tuple(
    EditRequest(
        f"The colour of stone {i} is",
        f"stone {i}",
        f"green {i}",
        rephrase=f"Stone {i} has which colour?" if i % 2 else None,
        locality_prompt=f"The river {i} flows into" if i != 2 else None,
        locality_answer=f"lake {i}" if i != 2 and i != 3 else None,
    )
    for i in range(EDITS)
)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    chain = chain_of(FakeEditor(model("gpt2")), tmp_path_factory.mktemp("views"))
    chain.ensure(EDITS)
    yield chain
    chain.go(0)


def view(chain: Chain, look: Look) -> View:
    chain.go(look.state)
    requests = REQUESTS[max(look.first - 1, 0) : look.last]
    return View(chain._stack, requests, chain.weights())


def see(chain: Chain, measure: Measure, looks: list[Look]) -> Mapping[Look, Any]:
    """What the looks see, in their order; the chain's own model unedited is the judge."""
    seen: dict[Look, Any] = {}
    for look in looks:
        if look.judged:
            written = measure.look(view(chain, look.written))
            chain.go(0)
            seen[look] = cast("Judged", measure).judge(chain._stack, written)
        else:
            seen[look] = measure.look(view(chain, look))
    return seen


@pytest.fixture
def two_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ("The mill stood by the river.", "In spring the water rose, and the miller with it.")
    monkeypatch.setattr("editsuite.measures.perplexity.prose", lambda: texts)
    monkeypatch.setattr("editsuite.measures.saliency.shots.ITEMS", 4)
    few = Answers(Questions(("a", "b"), ("Why is it dark?", "What is heavy?")))
    monkeypatch.setattr("editsuite.measures.known.Answers", lambda: few)


@pytest.mark.usefixtures("two_passages")
@pytest.mark.parametrize("name", sorted(all_measures()))
def test_the_order_of_looks_changes_nothing_and_looks_are_json(chain: Chain, name: str) -> None:
    measure = all_measures()[name]
    looks = list(dict.fromkeys(look for n in (0, 1, EDITS) for look in measure.looks(n)))
    forth = see(chain, measure, looks)
    back = see(chain, measure, looks[::-1])
    assert forth == back
    kept = {look: json.loads(json.dumps(seen)) for look, seen in forth.items()}
    for n in (1, EDITS):
        assert measure.observe(n, kept) == measure.observe(n, back)


@pytest.mark.usefixtures("two_passages")
@pytest.mark.parametrize("name", sorted(all_measures()))
def test_the_unedited_model_can_be_observed(chain: Chain, name: str) -> None:
    measure = all_measures()[name]
    for observation in measure.observe(0, see(chain, measure, list(measure.looks(0)))):
        assert math.isfinite(observation.value)


def test_every_measure_has_a_name_and_an_identity_of_its_own() -> None:
    known = all_measures()
    assert len({(m.name, m.identity) for m in known.values()}) == len(known)


# --- locality ----------------------------------------------------------------------------------


def test_a_state_agrees_with_itself_wholly(chain: Chain) -> None:
    measure = Locality()
    seen = measure.look(view(chain, Look(2, 1, EDITS)))
    observations = measure.observe(EDITS, dict.fromkeys(measure.looks(EDITS), seen))
    assert [o.value for o in observations] == [1.0, 1.0]
    assert [o.n for o in observations] == [3, 3]  # one fact has no locality prompt


def test_locality_is_the_agreement_counted_by_hand(chain: Chain) -> None:
    measure = Locality()
    looks = list(measure.looks(EDITS))
    forced, same = [], []
    answers = []
    for look in looks:
        chain.go(look.state)
        loaded = chain._stack.loaded
        said = []
        for request in REQUESTS:
            if request.locality_prompt is None:
                continue
            tokens = target_tokens(
                loaded.tokenizer, request.locality_prompt, request.locality_answer or "the"
            )
            best = plain_argmax(loaded, tokens.ids[:-1])[-len(tokens.target_ids) :]
            said.append((best, plain_answer(loaded, tokens.context_ids, 5)))
        answers.append(said)
    for (old, was), (new, now) in zip(*answers, strict=True):
        forced.append(sum(a == b for a, b in zip(old, new, strict=True)) / len(old))
        same.append(float(was == now))
    observations = measure.observe(EDITS, see(chain, measure, looks))
    assert [o.value for o in observations] == pytest.approx([np.mean(forced), np.mean(same)])
    assert np.mean(forced) < 1, "the edits changed nothing: nothing is shown"


def test_facts_without_locality_prompts_give_no_observation(chain: Chain) -> None:
    measure = Locality()
    bare = View(chain._stack, (EditRequest("A is", "A", "b"),), chain.weights())
    seen = measure.look(bare)
    assert measure.observe(1, dict.fromkeys(measure.looks(1), seen)) == ()


# --- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_pearson_is_numpys(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(7, 11, generator=random) + 3
    b = a + 10.0**-seed * torch.randn(7, 11, generator=random)
    expected = np.corrcoef(a.double().numpy().ravel(), b.double().numpy().ravel())[0, 1]
    assert pearson(a, b) == pytest.approx(float(expected), abs=1e-12)
    assert pearson(a, -2 * a + 1) == pytest.approx(-1, abs=1e-6)
    assert math.isnan(pearson(a, torch.ones(7, 11)))


def test_a_known_rank_one_change_has_its_closed_form(chain: Chain) -> None:
    """``|u v^T| = |u| |v|``, and with ``u`` orthogonal to the weight's columns Pythagoras holds."""
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 9, generator=random, dtype=torch.float64)
    weight[5] = 0
    u, v = torch.zeros(6, dtype=torch.float64), torch.randn(9, generator=random).double()
    u[5] = 0.7
    moved = {"w": Moved(weight, weight + torch.outer(u, v))}
    measure = Parameters()
    seen = {Look(1): measure.look(View(chain._stack, (), moved))}
    values = {o.name: o.value for o in measure.observe(1, seen)}
    drift = float(u.norm() * v.norm() / weight.norm())
    assert values["parameters.relative_drift"] == pytest.approx(drift, rel=1e-12)
    assert values["parameters.norm_ratio"] == pytest.approx(math.sqrt(1 + drift**2), rel=1e-12)


def test_several_matrices_count_as_one_long_vector(chain: Chain) -> None:
    a, b = torch.randn(3, 4), torch.randn(5, 2)
    moved = {"b": Moved(b, b + 1), "a": Moved(a, 2 * a)}
    measure = Parameters()
    seen = {Look(1): measure.look(View(chain._stack, (), moved))}
    correlation, drift, norm = (o.value for o in measure.observe(1, seen))
    old = np.concatenate([a.numpy().ravel(), b.numpy().ravel()]).astype(float)
    new = np.concatenate([2 * a.numpy().ravel(), b.numpy().ravel() + 1]).astype(float)
    assert correlation == pytest.approx(np.corrcoef(old, new)[0, 1], abs=1e-6)
    assert drift == pytest.approx(np.linalg.norm(new - old) / np.linalg.norm(old), rel=1e-6)
    assert norm == pytest.approx(np.linalg.norm(new) / np.linalg.norm(old), rel=1e-6)


def test_an_unedited_matrix_has_not_moved(chain: Chain) -> None:
    measure = Parameters()
    seen = {Look(0): measure.look(view(chain, Look(0)))}
    correlation, drift, norm = (o.value for o in measure.observe(0, seen))
    assert correlation == pytest.approx(1, abs=1e-12)
    assert (drift, norm) == (0.0, 1.0)


def test_a_chains_drift_is_that_of_its_factors(chain: Chain) -> None:
    chain.go(1)
    (factors,) = chain.entry(1).update.factors.values()
    assert isinstance(factors, LowRank)
    ((_, weight),) = chain.weights().items()
    measure = Parameters()
    values = {o.name: o.value for o in measure.observe(1, see(chain, measure, [Look(1)]))}
    expected = float(factors.output.norm() * factors.input.norm() / weight.original.norm())
    assert values["parameters.relative_drift"] == pytest.approx(expected, rel=1e-4)


# --- perplexity --------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_perplexity_is_transformers_loss_passage_by_passage(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tuple(text[: 60 + 25 * i] for i, text in enumerate(prose()[:6]))
    monkeypatch.setattr("editsuite.measures.perplexity.prose", lambda: texts)
    loaded = tiny_model(architecture, 53)
    measure = Perplexity()
    seen = measure.look(View(DecoderStack(loaded), (), {}))
    total, count = 0.0, 0
    model_: Any = loaded.model.double()
    for text, nll, n in zip(texts, seen["nll"], seen["tokens"], strict=True):
        ids = torch.tensor([loaded.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            loss = float(model_(input_ids=ids, labels=ids).loss)
        assert n == ids.shape[1] - 1
        assert nll == pytest.approx(loss * n, rel=1e-6)
        total, count = total + loss * n, count + n
    state, ratio = measure.observe(3, dict.fromkeys(measure.looks(3), seen))
    assert state.value == pytest.approx(math.exp(total / count), rel=1e-5)
    assert state.n == count
    assert (ratio.low, ratio.value, ratio.high) == (1.0, 1.0, 1.0)


def test_the_ratio_is_that_of_the_perplexities() -> None:
    measure = Perplexity()
    seen = {
        Look(0): {"nll": [20.0, 60.0], "tokens": [10, 20]},
        Look(5): {"nll": [30.0, 75.0], "tokens": [10, 20]},
    }
    state, ratio = measure.observe(5, seen)
    assert state.value == pytest.approx(math.exp(105 / 30))
    assert ratio.value == pytest.approx(math.exp(105 / 30) / math.exp(80 / 30))


def test_the_prose_is_enough_and_without_repeats() -> None:
    assert len(prose()) >= 40
    assert len(set(prose())) == len(prose())


# --- a model that is broken --------------------------------------------------------------------


@pytest.mark.usefixtures("two_passages")
def test_a_model_that_says_nan_is_seen_as_broken() -> None:
    loaded = tiny_model("llama", 54)
    stack = DecoderStack(loaded)
    asked = View(stack, REQUESTS, {})
    before = {name: all_measures()[name].look(asked) for name in ("perplexity", "locality")}
    loaded.down_proj_weight(1).data[:] = torch.nan
    n = len(REQUESTS)
    recall, locality, perplexity = Recall("sequential"), Locality(), Perplexity()
    for observation in recall.observe(n, {Look(n, 1, n): recall.look(asked)}):
        assert observation.value == 0.0, observation.name
    was, now = locality.looks(n)
    forced, same = locality.observe(n, {was: before["locality"], now: locality.look(asked)})
    assert forced.value < 1
    assert same.value == 0.0
    was, now = perplexity.looks(n)
    seen = {was: before["perplexity"], now: perplexity.look(asked)}
    assert all(math.isnan(o.value) for o in perplexity.observe(n, seen))


def test_weights_that_are_nan_show_in_the_parameters(chain: Chain) -> None:
    weight = torch.randn(3, 4)
    moved = {"w": Moved(weight, torch.full((3, 4), torch.nan))}
    measure = Parameters()
    seen = {Look(1): measure.look(View(chain._stack, (), moved))}
    assert all(math.isnan(o.value) for o in measure.observe(1, seen))
