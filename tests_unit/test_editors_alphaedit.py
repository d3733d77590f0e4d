"""AlphaEdit: the closed form holds, earlier keys are state, no null space is taken on trust."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chains_ import bits
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from editsuite.cards import FAMILIES, tiny_model
from editsuite.chains import Chain, Editing, ModelState, open_chain
from editsuite.editors import LowRank, Update, method
from editsuite.editors.alphaedit import BoundAlphaEdit
from editsuite.editors.earlier import EarlierKeys
from editsuite.editors.nullspace import NullSpace
from editsuite.engine import DecoderStack
from editsuite.errors import OptionError
from editsuite.facts import EditRequest
from editsuite.sealed import find_sealed

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)
LAYERS = (0, 1, 2)
FACTS = tuple(
    EditRequest(f"What is spoken by {name} at home?", name, target, id=name)
    for name, target in (("Orla", "Welsh"), ("Bo Tern", "Urdu"), ("Cy", "Zulu"), ("Di Ro", "Thai"))
)
#: Of the covariance's eigenvalues, which run from 0.01 to 10, two in three lie under it.
QUICK: dict[str, object] = {
    "v_num_grad_steps": 3,
    "n_contexts": 2,
    "nullspace_threshold": 1.0,
    "L2": 2.0,
}


@cache
def stack_of(architecture: str) -> DecoderStack:
    return DecoderStack(tiny_model(architecture, 7))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache, with a covariance of known eigenvalues that serves every layer and model."""
    found = tmp_path_factory.mktemp("alphaedit")
    vectors, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((128, 128)))
    moment = vectors * np.logspace(-2, 1, 128) @ vectors.T
    arrays: dict[str, Any] = {"mom2.mom2": moment, "mom2.count": 1}
    np.savez(found / "c.npz", **arrays)
    return found


def bind(stack: DecoderStack, folder: Path, **given: object) -> BoundAlphaEdit:
    named = {"mom2_corpus": f"npz:{folder / 'c.npz'}"}
    bound = method("alphaedit").bind(
        stack, layers=LAYERS, seed=0, hyperparameters={**QUICK, **named, **given}, cache=folder
    )
    assert isinstance(bound, BoundAlphaEdit)
    return bound


def changes(update: Update) -> Tensor:
    found = []
    for change in update.factors.values():
        assert isinstance(change, LowRank)
        found.append(change.output.double() @ change.input.double().T)
    return torch.stack(found)


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def projection(bound: BoundAlphaEdit, layer: int) -> Tensor:
    """``P`` by another decomposition, from the covariance itself."""
    left, values, _ = torch.linalg.svd(bound.ground.covariances[layer].matrix)
    inside = left[:, values < bound.settings.nullspace_threshold]
    return inside @ inside.T


# --- the closed form ---------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(0, 1000), st.lists(st.integers(1, 70), max_size=4), st.integers(1, 150))
def test_the_solution_is_the_papers(
    folder: Path, seed: int, earlier: list[int], facts: int
) -> None:
    """``(P (K_p K_p^T + K K^T) + L2 I)^-1 P K``, for fewer and for more keys than dimensions."""
    bound = bind(stack_of("llama"), folder)
    random = torch.Generator().manual_seed(seed)

    def draw(n: int) -> Tensor:
        return torch.randn(128, n, generator=random)

    before = [draw(n) for n in earlier]
    keys = draw(facts).double()
    held = bound.earlier[1]
    held.clear()
    for more in before:
        held.add(more)
    ours = held.solve(keys, 2.0)
    space = projection(bound, 1)
    total = sum((k.double() @ k.double().T for k in before), keys @ keys.T)
    wanted = torch.linalg.solve(space @ total + 2.0 * torch.eye(128).double(), space @ keys)
    assert distance(ours, wanted) < 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_two_edits_are_the_closed_form(architecture: str, folder: Path) -> None:
    """Each layer's change from its own factors: what is missing, and the keys in the journal."""
    loaded = tiny_model(architecture, 7)
    bound = bind(DecoderStack(loaded), folder)
    state = ModelState(loaded, bound.parameters, bound)
    first = bound.edit(FACTS[:2])
    state.apply(first)
    second = bound.edit(FACTS[2:])
    for layer, name in zip(LAYERS, bound.parameters, strict=True):
        past, now = (update.tensors[f"keys.{layer}"].double() for update in (first, second))
        change = second.factors[name]
        assert isinstance(change, LowRank)
        space = projection(bound, layer)
        system = space @ (past @ past.T + now @ now.T) + 2.0 * torch.eye(128).double()
        wanted = torch.linalg.solve(system, space @ now @ change.output.double().T).T
        assert distance(change.output.double() @ change.input.double().T, wanted) < 1e-4


def test_earlier_keys_are_left_alone_and_so_is_the_text(folder: Path) -> None:
    """Who has many earlier keys changes what they read less; outside the space nothing moves."""
    loaded = tiny_model("llama", 7)
    bound = bind(DecoderStack(loaded), folder, L2=1e-3)
    state = ModelState(loaded, bound.parameters, bound)
    first = bound.edit(FACTS[:1])
    state.apply(first)
    knowing = bound.edit(FACTS[1:2])
    bound.forget()
    unknowing = bound.edit(FACTS[1:2])
    name, key = bound.parameters[-1], first.tensors["keys.2"].double()
    moved = []
    for update in (knowing, unknowing):
        change = update.factors[name]
        assert isinstance(change, LowRank)
        moved.append(float((change.output.double() @ (change.input.double().T @ key)).norm()))
        outside = key - projection(bound, 2) @ key
        assert float((change.input.double().T @ outside).norm()) < 1e-5 * float(
            change.input.norm() * outside.norm()
        )
    assert moved[0] < 0.1 * moved[1]


# --- state -------------------------------------------------------------------------------------


def opened(folder: Path, place: Path) -> Chain:
    editing = Editing(
        method("alphaedit"),
        LAYERS,
        FACTS,
        "four",
        hyperparameters={**QUICK, "mom2_corpus": f"npz:{folder / 'c.npz'}"},
    )
    return open_chain(DecoderStack(tiny_model("llama", 5)), editing, folder, chains=place)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_chain_cut_anywhere_resumes_to_the_same_bits(
    cut: int, folder: Path, tmp_path: Path
) -> None:
    whole = opened(folder, tmp_path / "whole")
    whole.ensure(4)
    opened(folder, tmp_path / "cut").ensure(cut)
    resumed = opened(folder, tmp_path / "cut")
    resumed.ensure(4)
    assert resumed.digest(4) == whole.digest(4)


def test_a_walk_through_the_states_between_edits_changes_nothing(
    folder: Path, tmp_path: Path
) -> None:
    whole = opened(folder, tmp_path / "whole")
    whole.ensure(4)
    walked = opened(folder, tmp_path / "walked")
    for count, walk in ((1, (0, 1)), (2, (1, 0, 2)), (4, (3, 0, 4))):
        walked.ensure(count)
        for index in walk:
            walked.go(index)
    assert walked.digest(4) == whole.digest(4)


def test_taking_edits_off_forgets_them(folder: Path) -> None:
    loaded = tiny_model("llama", 5)
    before = bits(loaded)
    bound = bind(DecoderStack(loaded), folder)
    state = ModelState(loaded, bound.parameters, bound)
    first = bound.edit(FACTS[:1])
    assert torch.equal(changes(bound.edit(FACTS[:1])), changes(first))  # it was not put on
    state.apply(first)
    assert not torch.equal(changes(bound.edit(FACTS[:1])), changes(first))
    state.reset()
    assert bits(loaded) == before
    assert torch.equal(changes(bound.edit(FACTS[:1])), changes(first))


def test_an_update_without_its_keys_takes_all_off(folder: Path) -> None:
    loaded = tiny_model("llama", 5)
    before = bits(loaded)
    bound = bind(DecoderStack(loaded), folder)
    state = ModelState(loaded, bound.parameters, bound)
    update = bound.edit(FACTS[:1])
    with pytest.raises(KeyError, match="keys"):
        state.apply(Update(update.factors, {}))
    assert bits(loaded) == before
    assert state.index == 0


# --- the null space ----------------------------------------------------------------------------


def test_the_null_space_is_the_projection(folder: Path) -> None:
    bound = bind(stack_of("llama"), folder)
    basis = bound.spaces[1].basis
    assert basis.shape == (128, 85)
    assert distance(basis @ basis.T, projection(bound, 1)) < 1e-6


def space(bound: BoundAlphaEdit, cache: Path, threshold: float = 1.0) -> NullSpace:
    return NullSpace(bound.ground.covariances[1], threshold, cache)


def test_a_kept_space_is_read_and_another_threshold_is_another_space(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = bind(stack_of("llama"), folder)
    fresh = space(bound, tmp_path).basis
    assert space(bound, tmp_path, 0.1).basis.shape != fresh.shape
    other = bind(DecoderStack(tiny_model("llama", 8)), folder)
    assert space(other, tmp_path).identity != space(bound, tmp_path).identity
    assert len(find_sealed(tmp_path / "nullspace", "*")) == 2
    monkeypatch.setattr(torch.linalg, "eigh", None)
    assert torch.equal(space(bound, tmp_path).basis, fresh)
    assert EarlierKeys(space(bound, tmp_path)).solve(torch.ones(128, 1).double(), 1.0).shape == (
        128,
        1,
    )


@pytest.mark.parametrize("damage", ["flip", "foreign"])
def test_a_space_that_cannot_be_trusted_is_named_and_made_anew(
    damage: str, folder: Path, tmp_path: Path
) -> None:
    bound = bind(stack_of("llama"), folder)
    fresh = space(bound, tmp_path).basis
    (path,) = find_sealed(tmp_path / "nullspace", "*")
    if damage == "flip":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        _ = space(bound, tmp_path / "other", 0.1).basis
        (other,) = find_sealed(tmp_path / "other" / "nullspace", "*")
        path.unlink()
        (path.parent / (path.name[:33] + other.name[33:])).write_bytes(other.read_bytes())
    with pytest.warns(UserWarning, match=r"null space: .* computed anew"):
        assert torch.equal(space(bound, tmp_path).basis, fresh)


# --- what cannot be edited ---------------------------------------------------------------------


def test_a_threshold_that_leaves_no_space_is_refused(folder: Path) -> None:
    with pytest.raises(OptionError, match=r"layer 0.*nullspace_threshold 0\.001.*0\.01.*raise"):
        bind(stack_of("llama"), folder, nullspace_threshold=1e-3).prepare()


@pytest.mark.parametrize("name", ["nullspace_threshold", "L2"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_what_must_be_above_zero_is_refused(name: str, value: float, folder: Path) -> None:
    with pytest.raises(OptionError, match=name):
        bind(stack_of("llama"), folder, **{name: value})
