"""state(t): the same bits whichever way it was reached, and the original bits when taken off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from chains_ import FakeEditor, bits, chain_of, model
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.cards import FAMILIES
from editsuite.chains import Chain, ModelState
from editsuite.editors import LowRank, Update
from editsuite.errors import ChainError

pytestmark = pytest.mark.usefixtures("one_thread")

EDITS = 8
KINDS = [
    ("llama", torch.float32),
    ("llama", torch.bfloat16),
    ("gpt2", torch.float32),
    ("gpt2", torch.bfloat16),
    ("gpt_neox", torch.float32),
    ("gptj", torch.float16),
]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def walked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Chain, FakeEditor, list[str]]]:
    """A chain, and the bits of every state on the direct way up."""
    architecture, dtype = request.param
    editor = FakeEditor(model(architecture, dtype), layers=(1, 2), rank=2)
    original = bits(editor.loaded)
    chain = chain_of(editor, tmp_path_factory.mktemp("walk"))
    chain.ensure(EDITS)
    direct = []
    for index in range(EDITS + 1):
        chain.go(0)
        chain.go(index)
        direct.append(bits(editor.loaded))
    assert direct[0] == original
    assert len(set(direct)) == EDITS + 1
    yield chain, editor, direct
    chain.go(0)
    assert bits(editor.loaded) == original


@settings(max_examples=25, deadline=None)
@given(path=st.lists(st.integers(0, EDITS), min_size=1, max_size=8))
def test_any_walk_comes_to_the_same_bits(
    walked: tuple[Chain, FakeEditor, list[str]], path: list[int]
) -> None:
    chain, editor, direct = walked
    for index in path:
        chain.go(index)
        assert bits(editor.loaded) == direct[index]
        assert chain.state.digest() == chain.digest(index)


def test_the_states_met_while_editing_are_the_ones_restored(
    walked: tuple[Chain, FakeEditor, list[str]], tmp_path: Path
) -> None:
    _, editor, direct = walked
    fresh = FakeEditor(
        model(editor.loaded.family.architecture, editor.loaded.dtype), layers=(1, 2), rank=2
    )
    chain, met = chain_of(fresh, tmp_path), []
    chain.ensure(EDITS, progress=lambda _: met.append(bits(fresh.loaded)))
    assert met == direct[1:]


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_factors_are_added_in_the_maps_own_orientation(architecture: str) -> None:
    loaded = model(architecture)
    name, weight = loaded.down_proj_name(1), loaded.down_proj_weight(1)
    before = weight.detach().clone()
    output, entering = torch.randn(32, 3), torch.randn(128, 3)
    state = ModelState(loaded, [name])
    state.apply(Update({name: LowRank(output, entering)}, {}))
    change = (weight - before).T if loaded.family.transposed else weight - before
    torch.testing.assert_close(change, output @ entering.T, rtol=1e-4, atol=1e-5)
    keys = torch.randn(5, 128)
    with torch.no_grad():
        said = loaded.down_proj(1)(keys)
        state.reset()
        was = loaded.down_proj(1)(keys)
    torch.testing.assert_close(said - was, keys @ entering @ output.T, rtol=1e-4, atol=1e-3)


def test_a_low_precision_state_is_the_rounded_sum() -> None:
    """Steps too small for bfloat16 add up; rounded one by one they would be lost."""
    loaded = model("llama", torch.bfloat16)
    name, weight = loaded.down_proj_name(1), loaded.down_proj_weight(1)
    before = weight.detach().clone()
    step = LowRank(torch.full((32, 1), 1e-2), torch.full((128, 1), 1e-2))
    state = ModelState(loaded, [name])
    for _ in range(500):
        state.apply(Update({name: step}, {}))
    assert torch.equal(weight, state._sums[name].bfloat16())
    torch.testing.assert_close(weight.float(), before.float() + 0.05, rtol=0.01, atol=1e-3)


def test_the_originals_stand_beside_the_current() -> None:
    loaded = model("gpt2")
    name = loaded.down_proj_name(1)
    state = ModelState(loaded, [name])
    before = loaded.down_proj_weight(1).detach().clone()
    state.apply(Update({name: LowRank(torch.ones(32, 1), torch.ones(128, 1))}, {}))
    held = state.weights()[name]
    assert torch.equal(held.original, before)
    assert held.current.data_ptr() == loaded.down_proj_weight(1).data_ptr()


def test_an_update_that_does_not_fit_takes_all_edits_off() -> None:
    loaded = model("llama")
    original = bits(loaded)
    names = [loaded.down_proj_name(layer) for layer in (1, 2)]
    state = ModelState(loaded, names)
    good = LowRank(torch.ones(32, 1), torch.ones(128, 1))
    state.apply(Update(dict.fromkeys(names, good), {}))
    with pytest.raises(RuntimeError):
        state.apply(
            Update({names[0]: good, names[1]: LowRank(torch.ones(7, 1), torch.ones(5, 1))}, {})
        )
    assert state.index == 0
    assert bits(loaded) == original


def test_weights_touched_by_another_hand_are_noticed(tmp_path: Path) -> None:
    editor = FakeEditor(model())
    chain = chain_of(editor, tmp_path)
    chain.ensure(3)
    chain.go(1)
    editor.loaded.down_proj_weight(1).data[0, 0] += 1
    with pytest.raises(ChainError, match=r"state 3 .* does not come out"):
        chain.go(3)
    chain.go(3)  # it started again from the originals
    assert chain.state.digest() == chain.digest(3)


def test_a_state_that_is_not_kept_is_refused(tmp_path: Path) -> None:
    chain = chain_of(FakeEditor(model()), tmp_path)
    chain.ensure(2)
    for ask in (chain.go, chain.digest, chain.entry):
        with pytest.raises(ChainError):
            ask(3)
