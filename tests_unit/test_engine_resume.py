"""Resuming at the edited layer: the same bits as every layer run, for any state and order."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.cards import FAMILIES, LoadedModel, tiny_model
from editsuite.chains import ModelState
from editsuite.editors import LowRank, Update
from editsuite.engine import Continuation, DecoderStack, ResumeCache, Scored, Ways, generate, score
from editsuite.engine.resume import MEBI

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)
LAYER = 1
SHARED = tuple(range(40, 62))
ITEMS = (
    Continuation((*SHARED, 7, 8), (9, 10)),
    Continuation((*SHARED, 7, 8), (11,)),
    Continuation((*SHARED, 3), (4, 5, 6)),
    Continuation(SHARED, (1,)),
    Continuation((5, 6, 7), (8, 9)),
    Continuation((5,), tuple(range(100, 130))),
)


def states_of(loaded: LoadedModel) -> ModelState:
    """A state whose edits are rank-one changes of the tiny model at ``LAYER``."""
    return ModelState(loaded, (loaded.down_proj_name(LAYER),))


def edit(loaded: LoadedModel, seed: int) -> dict[str, LowRank]:
    random = torch.Generator().manual_seed(seed)
    hidden, inner = loaded.model.config.hidden_size, states_inner(loaded)
    return {
        loaded.down_proj_name(LAYER): LowRank(
            torch.randn(hidden, 1, generator=random), torch.randn(inner, 1, generator=random)
        )
    }


def states_inner(loaded: LoadedModel) -> int:
    shape = set(loaded.down_proj_weight(LAYER).shape)
    shape.discard(loaded.model.config.hidden_size)
    return int(shape.pop()) if shape else int(loaded.model.config.hidden_size)


def resume(stack: DecoderStack, **given: Any) -> ResumeCache:
    return ResumeCache(LAYER, (stack.loaded.digest,), **given)


def bits(scored: list[Scored]) -> list[tuple[float, ...]]:
    return [s.log_probs for s in scored]


@pytest.mark.parametrize("budget", [4, 24, 512])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_of_every_state_are_bit_for_bit_those_of_a_full_run(
    architecture: str, budget: int
) -> None:
    loaded = tiny_model(architecture, 3)
    stack, state = DecoderStack(loaded), states_of(loaded)
    kept = resume(stack)
    for seed in range(3):
        full = score(stack, ITEMS, token_budget=budget)
        with stack.resumed(kept):
            assert score(stack, ITEMS, token_budget=budget) == full
            assert score(stack, ITEMS, token_budget=budget) == full
        state.apply(Update(edit(loaded, seed), {}))
    assert bits(full) != bits(score(stack, ITEMS, token_budget=budget))  # the edits do something


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_generations_of_every_state_are_those_of_a_full_run(architecture: str) -> None:
    loaded = tiny_model(architecture, 3)
    stack, state = DecoderStack(loaded), states_of(loaded)
    kept = resume(stack)
    prompts = [item.context for item in ITEMS]
    ways: dict[str, Any] = {"max_new_tokens": 5, "temperature": 0.8, "seeds": range(len(prompts))}
    for seed in range(3):
        full = generate(stack, prompts, **ways)
        with stack.resumed(kept):
            assert generate(stack, prompts, **ways) == full
            assert generate(stack, prompts, **ways) == full
        state.apply(Update(edit(loaded, seed), {}))


@cache
def shared_stack(architecture: str) -> tuple[DecoderStack, ModelState, ResumeCache]:
    loaded = tiny_model(architecture, 8)
    stack = DecoderStack(loaded)
    return stack, states_of(loaded), resume(stack)


@torch.no_grad()
def plain(loaded: LoadedModel, item: Continuation) -> tuple[float, ...]:
    """Transformers' own forward pass on one item alone."""
    model: Any = loaded.model
    logits = model(input_ids=torch.tensor([item.context + item.target])).logits[0].float()
    log_probs = torch.log_softmax(logits[len(item.context) - 1 : -1], dim=-1)
    return tuple(float(row[t]) for row, t in zip(log_probs, item.target, strict=True))


HEADS = st.sampled_from([(), SHARED, SHARED[:9], (*SHARED, *range(1, 12))])
TAILS = st.lists(st.integers(0, 255), min_size=1, max_size=6).map(tuple)
MIX = st.lists(
    st.builds(lambda head, tail, target: Continuation(head + tail, target), HEADS, TAILS, TAILS),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ARCHITECTURES),
    st.lists(st.tuples(st.integers(0, 3), MIX), min_size=1, max_size=4),
    st.integers(3, 90),
    st.booleans(),
)
def test_any_mix_of_states_prompts_and_orders_gives_what_plain_transformers_gives(
    architecture: str,
    visits: list[tuple[int, list[Continuation]]],
    budget: int,
    share: bool,
) -> None:
    stack, state, kept = shared_stack(architecture)
    stack.ways = Ways(share_prefixes=share)
    for edits, items in visits:
        state.reset()
        for seed in range(edits):
            state.apply(Update(edit(stack.loaded, seed), {}))
        with stack.resumed(kept):
            scored = score(stack, items, token_budget=budget)
        for item, ours in zip(items, scored, strict=True):
            assert ours.log_probs == pytest.approx(plain(stack.loaded, item), abs=2e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    "ways", [Ways(share_prefixes=False), Ways(narrow_logits=False), Ways(False, False, False)]
)
def test_every_switch_off_gives_the_same_answers(architecture: str, ways: Ways) -> None:
    loaded = tiny_model(architecture, 3)
    with_all, without = DecoderStack(loaded), DecoderStack(loaded, ways=ways)
    for one, other in zip(score(with_all, ITEMS), score(without, ITEMS), strict=True):
        assert one.predicted == other.predicted
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-5)
    prompts = [item.context for item in ITEMS]
    assert generate(with_all, prompts, max_new_tokens=4) == generate(
        without, prompts, max_new_tokens=4
    )


def counted(cache_: ResumeCache, asked: object, number: int) -> tuple[torch.Tensor, bool]:
    """A state and whether it had to be computed."""
    computed: list[bool] = []

    def compute() -> dict[str, torch.Tensor]:
        computed.append(True)
        return {"hidden": torch.full((1, MEBI // 4), float(number))}  # one MiB

    return cache_.states(asked, compute)["hidden"], bool(computed)


def test_memory_holds_its_budget_and_the_rest_is_mapped_from_disk(tmp_path: Path) -> None:
    kept = ResumeCache(3, ("m",), folder=tmp_path, memory=2 * MEBI)
    for number in range(5):
        assert counted(kept, [number], number)[1]
        assert kept.held <= 2 * MEBI
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    for number in (0, 3, 1, 4, 2):
        tensor, computed = counted(kept, [number], number)
        assert not computed
        assert torch.equal(tensor, torch.full((1, MEBI // 4), float(number)))
    again = ResumeCache(3, ("m",), folder=tmp_path, memory=2 * MEBI)
    assert not counted(again, [0], 0)[1]


def test_another_model_layer_or_prompt_is_another_state(tmp_path: Path) -> None:
    counted(ResumeCache(3, ("m",), folder=tmp_path, memory=0), [1], 1)
    assert counted(ResumeCache(3, ("other",), folder=tmp_path, memory=0), [1], 2)[1]
    assert counted(ResumeCache(4, ("m",), folder=tmp_path, memory=0), [1], 2)[1]
    assert counted(ResumeCache(3, ("m",), folder=tmp_path, memory=0), [2], 2)[1]
    assert not counted(ResumeCache(3, ("m",), folder=tmp_path, memory=0), [1], 2)[1]


def test_a_damaged_file_is_computed_anew(tmp_path: Path) -> None:
    counted(ResumeCache(3, ("m",), folder=tmp_path, memory=0), [1], 1)
    (path,) = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    tensor, computed = counted(ResumeCache(3, ("m",), folder=tmp_path, memory=0), [1], 1)
    assert computed
    assert float(tensor[0, -1]) == 1.0


def test_the_disk_holds_its_budget(tmp_path: Path) -> None:
    kept = ResumeCache(3, ("m",), folder=tmp_path, memory=0, disk=3 * MEBI)
    for number in range(6):
        counted(kept, [number], number)
        assert sum(p.stat().st_size for p in tmp_path.glob("*.safetensors")) <= 3 * MEBI
    assert not counted(kept, [5], 5)[1]
    assert counted(kept, [0], 0)[1]


def test_without_a_folder_what_memory_cannot_hold_is_computed_anew() -> None:
    kept = ResumeCache(3, ("m",), memory=MEBI)
    for number in (0, 1, 0):
        assert counted(kept, [number], number)[1]


def test_a_disk_that_takes_nothing_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    kept = ResumeCache(3, ("m",), folder=tmp_path / "file", memory=0)
    assert float(counted(kept, [1], 1)[0][0, 0]) == 1.0
    assert float(counted(kept, [2], 2)[0][0, 0]) == 2.0
