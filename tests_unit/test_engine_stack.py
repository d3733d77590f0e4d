"""The decoder as a run of layers: transformers' own forward pass, entered and left anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from editsuite.cards import FAMILIES, LoadedModel, tiny_model
from editsuite.engine import DecoderStack, LayerCache, PaddedBatch, causal_mask, pad

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)
RAGGED = ((72, 101, 108), (84, 104, 101, 32, 99, 97, 116, 32, 115, 97, 116), (65,), (1, 2, 3, 4))


@cache
def stack_of(architecture: str) -> DecoderStack:
    return DecoderStack(tiny_model(architecture, 1))


@torch.no_grad()
def plain_logits(loaded: LoadedModel, ids: Sequence[int]) -> Tensor:
    """Transformers' own forward pass on one sequence alone: the truth of these tests."""
    model: Any = loaded.model
    logits: Tensor = model(input_ids=torch.tensor([list(ids)])).logits[0].float()
    return logits


def run_padded(stack: DecoderStack, batch: PaddedBatch, cache: LayerCache | None = None) -> Tensor:
    return stack.run(
        stack.embed(batch.ids, batch.positions),
        start=0,
        stop=stack.depth,
        positions=batch.positions,
        mask=causal_mask(batch.real),
        cache=cache,
    )


def check_against_plain(stack: DecoderStack, sequences: Sequence[Sequence[int]]) -> None:
    for left in (False, True):
        batch = pad(sequences, stack.device, left=left)
        with torch.no_grad():
            logits = stack.logits(run_padded(stack, batch))
        for row, sequence in enumerate(sequences):
            ours, plain = logits[row][batch.real[row]], plain_logits(stack.loaded, sequence)
            torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
            assert torch.equal(ours.argmax(dim=-1), plain.argmax(dim=-1))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_full_run_is_the_forward_pass_of_transformers(architecture: str) -> None:
    check_against_plain(stack_of(architecture), RAGGED)


SEQUENCES = st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=14), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(ARCHITECTURES), SEQUENCES)
def test_batches_of_any_lengths_give_each_row_as_alone(
    architecture: str, sequences: list[list[int]]
) -> None:
    check_against_plain(stack_of(architecture), sequences)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_run_in_two_parts_is_the_same_bits(architecture: str) -> None:
    stack = stack_of(architecture)
    batch = pad(RAGGED, stack.device, left=False)
    way: dict[str, Any] = {"positions": batch.positions, "mask": causal_mask(batch.real)}
    entering = stack.embed(batch.ids, batch.positions)
    with torch.no_grad():
        whole = stack.run(entering, start=0, stop=stack.depth, **way)
        for cut in range(stack.depth + 1):
            lower = stack.run(entering, start=0, stop=cut, **way)
            assert torch.equal(stack.run(lower, start=cut, stop=stack.depth, **way), whole)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("frozen", [True, False])
def test_a_kept_prefix_and_the_rest_are_the_whole(architecture: str, frozen: bool) -> None:
    stack, ids, cut = stack_of(architecture), list(range(40, 60)), 7
    kept = LayerCache(grow=True)
    head = pad([ids[:cut]], stack.device, left=False)
    with torch.no_grad():
        run_padded(stack, head, kept)
    prefix = kept.frozen() if frozen else kept

    def rest() -> Tensor:
        positions = torch.arange(cut, len(ids))[None]
        with torch.no_grad():
            hidden = stack.run(
                stack.embed(torch.tensor([ids[cut:]]), positions),
                start=0,
                stop=stack.depth,
                positions=positions,
                mask=causal_mask(torch.ones(1, len(ids), dtype=torch.bool), len(ids) - cut),
                cache=prefix,
            )
            return stack.logits(hidden[0])

    first = rest()
    torch.testing.assert_close(first, plain_logits(stack.loaded, ids)[cut:], atol=1e-5, rtol=1e-5)
    if frozen:
        assert torch.equal(first, rest()), "a frozen prefix grew"


def windowed_model(architecture: str, window: int, **settings: object) -> LoadedModel:
    loaded = tiny_model(architecture, 2)
    names = dict(loaded.model.config.to_dict()) | {"sliding_window": window, **settings}
    names = {k: v for k, v in names.items() if k not in ("model_type", "layer_types")}
    maker: Any = AutoModelForCausalLM
    model = maker.from_config(CONFIG_MAPPING[architecture](**names), dtype=torch.float32)
    model.load_state_dict(loaded.model.state_dict())
    model.eval()
    model.requires_grad_(False)
    return replace(loaded, model=model)


WINDOWED = {
    "mistral": {},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 2},
    "qwen3": {"use_sliding_window": True, "max_window_layers": 0},
}


@pytest.mark.parametrize("architecture", sorted(WINDOWED))
def test_a_sliding_window_is_kept(architecture: str) -> None:
    loaded = windowed_model(architecture, 4, **WINDOWED[architecture])
    long = list(range(40, 64))
    unlimited = plain_logits(tiny_model(architecture, 2), long)
    difference = (plain_logits(loaded, long) - unlimited).abs().max()
    assert difference > 1e-3, "the window of this model is not at work"
    check_against_plain(DecoderStack(loaded), [long, long[:3], long[:5]])


def test_a_window_reaches_into_a_kept_prefix() -> None:
    stack = DecoderStack(windowed_model("mistral", 4))
    ids = list(range(40, 60))
    kept = LayerCache(grow=True)
    out = []
    with torch.no_grad():
        for at, token in enumerate(ids):
            positions = torch.tensor([[at]])
            hidden = stack.run(
                stack.embed(torch.tensor([[token]]), positions),
                start=0,
                stop=stack.depth,
                positions=positions,
                mask=causal_mask(torch.ones(1, at + 1, dtype=torch.bool), 1),
                cache=kept,
            )
            out.append(stack.logits(hidden[0, 0]))
    expected = plain_logits(stack.loaded, ids)
    torch.testing.assert_close(torch.stack(out), expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(SEQUENCES, st.booleans())
def test_padding_keeps_every_token_and_its_position(sequences: list[list[int]], left: bool) -> None:
    batch = pad(sequences, torch.device("cpu"), left=left)
    for row, sequence in enumerate(sequences):
        assert batch.ids[row][batch.real[row]].tolist() == sequence
        assert batch.positions[row][batch.real[row]].tolist() == list(range(len(sequence)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=4))
def test_a_query_sees_itself_and_the_real_before_it(real: list[list[bool]]) -> None:
    mask = causal_mask(torch.tensor(real), queries=3)
    for row, marks in enumerate(real):
        for query, at in enumerate(range(2, 5)):
            seen = [key == at or (key < at and marks[key]) for key in range(5)]
            assert mask[row, query].tolist() == seen
