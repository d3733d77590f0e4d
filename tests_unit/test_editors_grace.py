"""GRACE: the value search against its slow twin and autograd, the query token, states, chains.

Where a test names the reference, it holds a defect of EasyEdit's GRACE against this one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from inspect import getsource
from pathlib import Path
from typing import Any

import pytest
import torch
from chains_ import bits, facts
from torch import Tensor

from editsuite.cards import known_cards, resolve_card, tiny_model
from editsuite.chains import Chain, Editing, open_chain
from editsuite.editors import (
    Update,
    codebook,
    codebook_state,
    grace,
    key_scale,
    method,
    replacement,
)
from editsuite.editors.codebook_state import CodebookAdapter, CodebookState
from editsuite.editors.grace import BoundGrace
from editsuite.editors.key_scale import PROMPTS, key_distance, query_keys
from editsuite.editors.protocol import BringsState
from editsuite.engine import Continuation, DecoderStack, Ways, adapter, generate, score
from editsuite.errors import CardError, ChainError, EditError, EngineError, OptionError
from editsuite.facts import EditRequest, load_facts, target_tokens
from editsuite.measures import View, measures
from editsuite.measures.recall import ask

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = ["gpt2", "llama", "qwen2"]
LAYER = 2
FACT = EditRequest(
    "The mother tongue of Ada Vole is", "Ada Vole", "Thai", rephrase="Ada Vole grew up speaking"
)
STONES = facts(6)
#: Small, so that no key of the tiny models lies near another one's.
NEAR: dict[str, Any] = {"eps": 1e-3, "n_iter": 40, "edit_lr": 0.3}


@cache
def stack_of(architecture: str) -> DecoderStack:
    return DecoderStack(tiny_model(architecture, 7))


@pytest.fixture(autouse=True)
def taken_off() -> Iterator[None]:
    """A test that fails half-way leaves no adapter to the next one."""
    yield
    for architecture in ARCHITECTURES:
        stack_of(architecture).adapter = None


def bind(stack: DecoderStack, layer: int = LAYER, seed: int = 0, **given: Any) -> BoundGrace:
    bound = method("grace").bind(
        stack,
        layers=(layer,),
        seed=seed,
        hyperparameters={**NEAR, **given},
        cache=Path("nothing-is-kept-here"),
    )
    assert isinstance(bound, BoundGrace)
    return bound


def chain_of(stack: DecoderStack, cache: Path, layer: int = LAYER, **given: Any) -> Chain:
    editing = Editing(
        method("grace"), (layer,), STONES, "stones", hyperparameters={**NEAR, **given}
    )
    return open_chain(stack, editing, cache)


def state_of(bound: BoundGrace, requests: Sequence[EditRequest]) -> CodebookState:
    state = bound.open_state()
    for request in requests:
        state.apply(bound.edit([request]))
    return state


def continuation(stack: DecoderStack, prompt: str, target: str) -> Continuation:
    tokens = target_tokens(stack.loaded.tokenizer, prompt, target)
    return Continuation(tokens.context_ids, tokens.target_ids)


@torch.no_grad()
def plain_log_probs(stack: DecoderStack, item: Continuation, value: Tensor) -> tuple[float, ...]:
    """Transformers' whole forward pass with the value put in at the context's last token."""

    def put(_: object, __: object, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[:, len(item.context) - 1] = value
        return changed

    model: Any = stack.loaded.model
    handle = stack.loaded.down_proj(LAYER).register_forward_hook(put)
    logits = model(input_ids=torch.tensor([item.context + item.target])).logits[0]
    handle.remove()
    log_probs = torch.log_softmax(logits[len(item.context) - 1 : -1], dim=-1)
    return tuple(log_probs[range(len(item.target)), list(item.target)].tolist())


def assert_recalled(
    stack: DecoderStack, requests: Sequence[EditRequest], values: Sequence[Tensor]
) -> None:
    """Each prompt, asked together with the others and alone, is answered with its own value."""
    items = [continuation(stack, r.prompt, r.target_new) for r in requests]
    together = score(stack, items)
    new = generate(stack, [item.context for item in items], max_new_tokens=1)
    for item, scored, value, first in zip(items, together, values, new, strict=True):
        plain = plain_log_probs(stack, item, value)
        assert scored.log_probs == pytest.approx(plain, abs=2e-5)
        assert score(stack, [item])[0].log_probs == pytest.approx(plain, abs=2e-5)
        # One value makes no tiny model say five tokens; the first one it must say.
        assert first == item.target[:1] == scored.predicted[:1]


def answers(stack: DecoderStack, prompts: Sequence[str]) -> tuple[object, object]:
    """Scores and generations, bit by bit."""
    items = [continuation(stack, prompt, "green") for prompt in prompts]
    return score(stack, items), generate(stack, [i.context for i in items], max_new_tokens=4)


# --- the value ---------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_the_fast_search_finds_the_slow_ones_value(architecture: str, layer: int) -> None:
    """Transformers' whole forward pass with a hook, without a cache. The bound is relative."""
    stack = stack_of(architecture)
    given: dict[str, Any] = {"n_iter": 8, "edit_lr": 0.1}
    fast, slow = (bind(stack, layer, resume=way, **given).edit([FACT]) for way in (True, False))
    a, b = fast.tensors["value"].double(), slow.tensors["value"].double()
    assert float((a - b).norm() / b.norm()) < 1e-3
    assert fast.record["nll_after"] == pytest.approx(slow.record["nll_after"], abs=1e-3)
    assert fast.record["nll_before"] == pytest.approx(slow.record["nll_before"], abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_step_is_adams_on_the_plain_gradient(architecture: str) -> None:
    """In float64, by transformers' own layers and loss, the value put in by a hook."""
    loaded = tiny_model(architecture, 7)
    update = bind(DecoderStack(loaded), n_iter=1, edit_lr=0.25, val_init="warm").edit([FACT])
    model: Any = loaded.model.double()
    tokens = target_tokens(loaded.tokenizer, FACT.prompt, FACT.target_new)
    ids = torch.tensor([tokens.ids])
    labels = ids.clone()
    labels[0, : len(tokens.context_ids)] = -100
    place = len(tokens.context_ids) - 1
    held: list[Tensor] = []

    def put(_: object, __: object, output: Tensor) -> Tensor:
        held.append(output[0, place].detach().clone().requires_grad_())
        changed = output.clone()
        changed[0, place] = held[-1]
        return changed

    handle = loaded.down_proj(LAYER).register_forward_hook(put)
    loss = model(input_ids=ids, labels=labels).loss
    handle.remove()
    (gradient,) = torch.autograd.grad(loss, held[0])
    assert update.record["nll_before"] == pytest.approx(float(loss.detach()), abs=1e-5)
    # Adam's first step is the rate along each coordinate's sign, up to its small constant.
    expected = held[0].detach() - 0.25 * gradient / (gradient.abs() + 1e-8)
    clear = gradient.abs() > 1e-5
    assert float(clear.double().mean()) > 0.9
    difference = (update.tensors["value"].double() - expected)[clear].abs().max()
    assert float(difference) < 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_edited_model_says_the_target_and_the_loss_is_what_it_says(architecture: str) -> None:
    stack = stack_of(architecture)
    bound = bind(stack)
    update = bound.edit([FACT])
    state = bound.open_state()
    state.apply(update)
    (scored,) = score(stack, [continuation(stack, FACT.prompt, FACT.target_new)])
    said = -sum(scored.log_probs) / len(scored.log_probs)
    assert said == pytest.approx(update.record["nll_after"], abs=1e-4)
    assert said < float(str(update.record["nll_before"]))
    assert_recalled(stack, [FACT], [update.tensors["value"]])


def test_a_cold_start_comes_from_the_seed_and_the_fact_alone() -> None:
    stack = stack_of("llama")
    torch.manual_seed(1)
    first = bind(stack).edit([FACT])
    torch.manual_seed(2)
    bound = bind(stack)
    state = state_of(bound, STONES[:2])
    after_others = bound.edit([FACT])
    state.reset()
    assert torch.equal(first.tensors["value"], after_others.tensors["value"])
    other = bind(stack, seed=1).edit([FACT])
    assert not torch.equal(first.tensors["value"], other.tensors["value"])
    warm = bind(stack, val_init="warm"), bind(stack, seed=1, val_init="warm")
    values = [bound.edit([FACT]).tensors["value"] for bound in warm]
    assert torch.equal(*values)
    assert warm[0].inputs == warm[1].inputs
    assert bind(stack).inputs != bind(stack, seed=1).inputs


def test_the_search_is_the_same_by_the_layers_written_out_and_by_transformers_own() -> None:
    loaded = tiny_model("llama", 7)
    values = [
        bind(DecoderStack(loaded, ways=Ways(written_out=way)), n_iter=8).edit([FACT])
        for way in (True, False)
    ]
    a, b = (value.tensors["value"].double() for value in values)
    assert float((a - b).norm() / b.norm()) < 1e-3


# --- the query ---------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_key_is_the_projections_input_at_the_prompts_last_token(architecture: str) -> None:
    stack = stack_of(architecture)
    held: list[Tensor] = []
    handle = stack.loaded.down_proj(LAYER).register_forward_hook(
        lambda _, inputs, __: held.append(inputs[0][0, -1])
    )
    tokens = target_tokens(stack.loaded.tokenizer, FACT.prompt, FACT.target_new)
    model: Any = stack.loaded.model
    model(input_ids=torch.tensor([tokens.context_ids]))
    handle.remove()
    key = bind(stack).edit([FACT]).tensors["key"]
    assert float((key - held[0]).norm() / held[0].norm()) < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_earlier_edits_are_recalled_whatever_was_edited_since(architecture: str) -> None:
    """The reference's query token stays where the last edit had it (0.467 of recall)."""
    stack = stack_of(architecture)
    requests = [FACT, *STONES, EditRequest("Oslo is in", "Oslo", "Peru")]
    bound = bind(stack)
    state, values = bound.open_state(), []
    for request in requests:
        update = bound.edit([request])
        state.apply(update)
        values.append(update.tensors["value"])
        assert_recalled(stack, requests[: len(values)], values)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rephrases_of_other_lengths_ask_with_their_own_last_token(architecture: str) -> None:
    """With a radius that holds the rephrases' keys they get the value, each at its own place."""
    stack = stack_of(architecture)
    rephrases = ["Ada Vole speaks", "Ask Ada Vole in which tongue she dreams: she dreams in"]
    asked = tuple(EditRequest(text, "Ada Vole", "Thai") for text in [FACT.prompt, *rephrases])
    keys = query_keys(stack, asked, LAYER).double()
    reach = float((keys[1:] - keys[0]).norm(dim=1).max())
    bound = bind(stack, eps=1.01 * reach)
    state = state_of(bound, [FACT])
    placed = stack.adapter
    assert isinstance(placed, CodebookAdapter)
    value = placed.codebook.values[0]
    items = [continuation(stack, text, "Thai") for text in rephrases]
    for item, scored in zip(items, score(stack, items), strict=True):
        assert scored.log_probs == pytest.approx(plain_log_probs(stack, item, value), abs=2e-5)
    state.reset()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_prompt_outside_every_radius_is_answered_bit_for_bit_as_before(
    architecture: str,
) -> None:
    stack = stack_of(architecture)
    others = [
        "The colour of the sea is",
        "A",
        "Stone 3 has the colour",
        "The colour of stone 77 is",
    ]
    before = answers(stack, others)
    state = state_of(bind(stack, n_iter=5), STONES)
    assert answers(stack, others) == before
    assert answers(stack, others[::-1])[1] == before[1][::-1]  # type: ignore[index]
    state.reset()
    assert answers(stack, others) == before


def test_the_order_of_edits_changes_no_answer_where_keys_lie_apart() -> None:
    stack = stack_of("llama")
    prompts = [request.prompt for request in STONES]
    said = []
    for order in (STONES, STONES[::-1], STONES[3:] + STONES[:3]):
        state = state_of(bind(stack, n_iter=5), order)
        said.append(answers(stack, prompts))
        state.reset()
    assert said[0] == said[1] == said[2]


def test_train_and_eval_mode_change_nothing() -> None:
    """In the reference ``training`` means that an edit is going on, and spoils the codebook."""
    stack = DecoderStack(tiny_model("llama", 7))
    state = state_of(bind(stack), STONES[:2])
    digest, prompts = state.digest(), [request.prompt for request in STONES]
    before = answers(stack, prompts)
    stack.loaded.model.train()
    assert answers(stack, prompts) == before
    assert state.digest() == digest
    stack.loaded.model.train(False)
    assert answers(stack, prompts) == before


def test_nothing_is_set_for_the_whole_process() -> None:
    """Importing the reference sets CUDA_LAUNCH_BLOCKING; here no module looks at such things."""
    for module in (adapter, codebook, codebook_state, grace, key_scale, replacement):
        assert not re.search(r"\b(environ|putenv|manual_seed\(\d|set_default)", getsource(module))
    before = dict(os.environ), torch.get_rng_state()
    bind(stack_of("llama"), n_iter=2).edit([FACT])
    assert dict(os.environ) == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_a_new_answer_to_the_same_prompt_replaces_the_old() -> None:
    stack = stack_of("llama")
    bound = bind(stack)
    again = EditRequest(FACT.prompt, FACT.subject, "Urdu")
    state = state_of(bound, [FACT])
    update = bound.edit([again])
    state.apply(update)
    assert update.record["decision"] == "renew"
    assert len(state.codebook) == 1
    assert_recalled(stack, [again], [update.tensors["value"]])


def test_a_prompt_within_the_radius_of_its_own_answer_trains_that_entry_on() -> None:
    stack = stack_of("llama")
    other = EditRequest("The mother tongue of Ada Voles is", "Ada Voles", "Thai")
    keys = query_keys(stack, (FACT, other), LAYER).double()
    far = float((keys[0] - keys[1]).norm())
    for eps, decision in ((1.5 * far, "keep"), (0.7 * far, "expand")):
        bound = bind(stack, eps=eps)
        state = state_of(bound, [FACT])
        update = bound.edit([other])
        state.apply(update)
        assert update.record["decision"] == decision
        assert update.record["entries"] == 1
        assert_recalled(stack, [other], [update.tensors["value"]])
        state.reset()


# --- states ------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("cut", [0, 1, 4])
def test_a_chain_cut_anywhere_goes_on_to_the_same_digests(
    architecture: str, cut: int, tmp_path: Path
) -> None:
    stack = stack_of(architecture)
    wide: dict[str, Any] = {"eps": 0.5 * key_distance(stack, LAYER), "n_iter": 3}
    first = chain_of(stack, tmp_path, **wide)
    first.ensure(cut)
    first.go(0)
    resumed = chain_of(stack, tmp_path, **wide)
    resumed.ensure(6)
    resumed.go(0)
    whole = chain_of(stack, tmp_path / "undisturbed", **wide)
    whole.ensure(6)
    whole.go(0)
    assert [resumed.digest(i) for i in range(7)] == [whole.digest(i) for i in range(7)]
    assert len({whole.digest(i) for i in range(7)}) == 7


def test_any_walk_comes_to_the_same_digest_and_answers(tmp_path: Path) -> None:
    stack = stack_of("llama")
    chain = chain_of(stack, tmp_path)
    chain.ensure(6)
    prompts = [request.prompt for request in STONES]
    seen: dict[int, object] = {}
    for index in (6, 2, 0, 5, 2, 6, 0, 1, 5):
        chain.go(index)
        assert chain.state.digest() == chain.digest(index)
        assert seen.setdefault(index, answers(stack, prompts)) == answers(stack, prompts)
        values = [chain.entry(i + 1).update.tensors["value"] for i in range(index)]
        assert_recalled(stack, STONES[:index], values)
    chain.go(0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_taken_off_the_model_is_bit_for_bit_the_unedited_one(
    architecture: str, tmp_path: Path
) -> None:
    """The reference's undo crashes after a second edit."""
    stack = DecoderStack(tiny_model(architecture, 7))
    prompts = [request.prompt for request in STONES]
    weights, said = bits(stack.loaded), answers(stack, prompts)
    chain = chain_of(stack, tmp_path)
    chain.ensure(4)
    chain.go(4)
    assert answers(stack, prompts) != said
    assert bits(stack.loaded) == weights
    chain.go(0)
    assert stack.adapter is None
    assert answers(stack, prompts) == said
    assert not any(m._forward_hooks for m in stack.loaded.model.modules())


def test_two_chains_on_one_model_take_turns(tmp_path: Path) -> None:
    stack = stack_of("llama")
    one, other = chain_of(stack, tmp_path, 1), chain_of(stack, tmp_path, 2)
    one.ensure(2)
    one.go(2)
    with pytest.raises(ChainError, match="bring its chain to state 0 first"):
        other.ensure(1)
    other.state.reset()  # takes off nothing that is not its own
    assert stack.adapter is not None
    one.go(0)
    other.ensure(1)
    other.go(1)
    assert_recalled(stack, STONES[:1], [other.entry(1).update.tensors["value"]])
    other.go(0)
    assert one.digest(1) != other.digest(1)


def test_another_methods_edit_does_not_pass_the_codebook_by(tmp_path: Path) -> None:
    stack = stack_of("llama")
    state = state_of(bind(stack), [FACT])
    rome = method("rome_noc").bind(
        stack, layers=(1,), seed=0, hyperparameters={"n_contexts": 1}, cache=tmp_path
    )
    with pytest.raises(EngineError, match="adapter stands at layer 2"):
        rome.edit([FACT])
    state.reset()


def test_an_update_that_cannot_be_read_takes_all_edits_off() -> None:
    stack = stack_of("llama")
    state = state_of(bind(stack), STONES[:2])
    with pytest.raises(KeyError):
        state.apply(Update({}, {}, {"index": torch.tensor(0)}))
    assert (state.index, stack.adapter) == (0, None)


def test_an_edit_is_journaled_in_little_room() -> None:
    """What an edit did, not the codebook: key, value, label, radii."""
    stack = stack_of("llama")
    bound = bind(stack)
    state = state_of(bound, STONES[:4])
    tensors = bound.edit([STONES[4]]).tensors
    state.reset()
    assert sum(t.numel() * t.element_size() for t in tensors.values()) < 4 * (128 + 32) + 200


def test_the_matrix_behind_which_it_stands_is_as_it_was(tmp_path: Path) -> None:
    stack = stack_of("gpt2")
    chain = chain_of(stack, tmp_path)
    assert isinstance(chain.editor, BringsState)
    assert chain.editor.parameters == ()
    chain.ensure(2)
    chain.go(2)
    measure = measures()["parameters"]
    (look,) = measure.looks(2)
    seen = measure.look(View(stack, (), chain.weights()))
    chain.go(0)
    found = {o.name: o.value for o in measure.observe(2, {look: seen})}
    assert found["parameters.correlation"] == pytest.approx(1, abs=1e-12)
    assert found["parameters.relative_drift"] == 0
    assert found["parameters.norm_ratio"] == 1


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"eps": 0}, "eps is 0.0; it must be above 0"),
        ({"eps": -1.0}, "eps is -1.0; it must be above 0"),
        ({"eps": float("nan")}, "eps is nan"),
        ({"eps": float("inf")}, "eps is inf"),
        ({"eps": "1"}, "a value of type float is needed"),
        ({"eps_unit": "median"}, "it can be absolute, relative"),
        ({"n_iter": 0}, "the least is 1"),
        ({"val_init": "hot"}, "it can be cold, warm"),
        ({"epsilon": 1.0}, "no hyperparameter epsilon"),
    ],
)
def test_an_impossible_setting_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        bind(stack_of("llama"), **given)


def test_layers_and_batches_that_cannot_be_are_refused(tmp_path: Path) -> None:
    stack, registered = stack_of("llama"), method("grace")

    def bound(*layers: int) -> object:
        return registered.bind(stack, layers=layers, seed=0, hyperparameters={}, cache=tmp_path)

    with pytest.raises(CardError, match="has no layer 4"):
        bound(4)
    with pytest.raises(CardError, match="has no layer -1"):
        bound(-1)
    with pytest.raises(OptionError, match="grace edits one layer, 2 were given"):
        bound(1, 2)
    assert not registered.batches
    with pytest.raises(EditError, match="one fact at a time, 2 were given"):
        bind(stack).edit(STONES[:2])


def test_a_prompt_too_long_is_refused() -> None:
    long = EditRequest(f"Ada Vole {'says and ' * 40}is", "Ada Vole", "Thai")
    with pytest.raises(EditError, match="the model reads 256; shorten the prompt"):
        bind(stack_of("llama")).edit([long])


def test_a_loss_that_is_no_number_is_refused() -> None:
    loaded = tiny_model("llama", 7)
    loaded.down_proj_weight(3).data[0, 0] = torch.nan
    with pytest.raises(EditError, match="the loss became nan"):
        bind(DecoderStack(loaded)).edit([FACT])


def test_a_relative_radius_is_told_in_the_distance_of_unrelated_prompts() -> None:
    stack = stack_of("llama")
    keys = query_keys(stack, load_facts("builtin").order(0)[:PROMPTS], LAYER).double().numpy()
    ways = [
        float(((keys[i] - keys[j]) ** 2).sum() ** 0.5) for i in range(len(keys)) for j in range(i)
    ]
    middle = sorted(ways)[(len(ways) - 1) // 2]
    assert key_distance(stack, LAYER) == pytest.approx(middle, rel=5e-3)
    bound = bind(stack, eps=0.25, eps_unit="relative")
    assert bound.eps == 0.25 * key_distance(stack, LAYER)
    state = state_of(bound, [FACT])
    assert float(state.codebook.radii[0]) == bound.eps
    state.reset()
    assert bound.inputs["key_distance"] == f"median of {PROMPTS} built-in prompts"
    assert bind(stack).inputs["key_distance"] is None


@pytest.mark.parametrize("name", known_cards())
def test_every_card_names_its_settings(name: str) -> None:
    card = resolve_card(name)
    stack = stack_of("llama")
    given = card.hyperparameters["grace"]
    bound = method("grace").bind(
        stack, layers=(1,), seed=0, hyperparameters=given, cache=Path("nothing")
    )
    assert isinstance(bound, BoundGrace)
    assert len(card.layers["grace"]) == 1
    assert set(given) >= {"eps", "n_iter", "edit_lr"}


@pytest.mark.real_model
def test_three_facts_in_sequence_on_the_default_model(real_stack: DecoderStack) -> None:
    """All three are said when asked together at the end; what was not edited keeps its bits."""
    requests = load_facts("builtin").order(0)[:3]
    locality = [request.locality_prompt or "The sea is" for request in requests]
    before = answers(real_stack, locality)
    settings: dict[str, Any] = dict(real_stack.loaded.card.hyperparameters["grace"])
    bound = bind(real_stack, 28, **settings)
    try:
        state = state_of(bound, requests)
        said = ask(real_stack, [(r.prompt, r.target_new) for r in requests])
        assert answers(real_stack, locality) == before
        state.reset()
    finally:
        real_stack.adapter = None
    assert [a.teacher_forced for a in said] == [1.0] * 3
    assert [a.generated for a in said] == [1.0] * 3
    assert answers(real_stack, locality) == before
