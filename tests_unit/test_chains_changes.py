"""Changes without few factors, tensors of a method's own, and batches, in states and journal."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from chains_ import FakeEditor, bits, chain_of, model
from torch import Tensor

from editsuite.cards import tiny_model
from editsuite.chains import Journal, ModelState, Plan
from editsuite.editors import Dense, LowRank, Update, Weight
from editsuite.facts import EditRequest
from editsuite.measures import Look
from editsuite.measures.recall import Recall


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_dense_change_is_added_in_the_maps_own_orientation(architecture: str) -> None:
    loaded = tiny_model(architecture)
    name = loaded.down_proj_name(1)
    state, weight = ModelState(loaded, [name]), loaded.model.get_parameter(name)
    before = weight.detach().clone()
    delta = torch.randn(32, 128, generator=torch.Generator().manual_seed(0))
    state.apply(Update({name: Dense(delta)}, {}))
    wanted = before + (delta.T if loaded.family.transposed else delta)
    assert torch.equal(weight, wanted)
    state.reset()
    assert torch.equal(weight, before)


def test_a_journal_gives_back_what_it_was_given(tmp_path: Path) -> None:
    plan = Plan("card", "model", "float32", "x", 1, (1,), 1, 0, "facts", (), {})
    given = Update(
        {
            "a.weight": Dense(torch.arange(6.0).view(2, 3)),
            "b.weight": LowRank(torch.ones(2, 1), torch.ones(3, 1)),
        },
        {"loss": 0.5},
        {"key.output": torch.arange(4.0)},
    )
    Journal(tmp_path, plan).append(1, given, "before", "after")
    entry = Journal(tmp_path, plan).entry(1)
    assert entry is not None
    dense, factors = entry.update.factors["a.weight"], entry.update.factors["b.weight"]
    assert isinstance(dense, Dense)
    assert isinstance(factors, LowRank)
    assert torch.equal(dense.delta, torch.arange(6.0).view(2, 3))
    assert torch.equal(factors.output, torch.ones(2, 1))
    assert set(entry.update.factors) == {"a.weight", "b.weight"}
    assert torch.equal(entry.update.tensors["key.output"], torch.arange(4.0))
    assert entry.update.record == {"loss": 0.5}


def test_individual_recall_asks_each_batch_right_after_it() -> None:
    recall = Recall("individual")
    assert recall.looks(6, 3) == [Look(3, 1, 3), Look(6, 4, 6)]
    assert recall.looks(2) == [Look(1, 1, 1), Look(2, 2, 2)]


@dataclass
class Book:
    """A state that is no weight: a list of pages."""

    pages: list[Tensor] = field(default_factory=list)

    @property
    def index(self) -> int:
        return len(self.pages)

    def apply(self, update: Update) -> None:
        self.pages.append(update.tensors["page"])

    def reset(self) -> None:
        self.pages.clear()

    def weights(self) -> Mapping[str, Weight]:
        return {}

    def digest(self) -> str:
        return hashlib.sha256(b"".join(page.numpy().tobytes() for page in self.pages)).hexdigest()


@dataclass(frozen=True)
class Writer(FakeEditor):
    """Writes a page for every request and changes no weight."""

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        return Update({}, {}, {"page": torch.tensor([float(int(requests[0].digest[:6], 16))])})

    def open_state(self) -> Book:
        return Book()


@pytest.mark.parametrize("cut", [0, 2, 5])
def test_a_state_of_a_methods_own_resumes_from_the_journal(cut: int, tmp_path: Path) -> None:
    loaded = model()
    before = bits(loaded)
    chain_of(Writer(loaded), tmp_path).ensure(cut)
    chain = chain_of(Writer(loaded), tmp_path)
    chain.ensure(5)
    chain.go(5)
    whole = chain_of(Writer(loaded), tmp_path / "undisturbed")
    whole.ensure(5)
    assert chain.digest(5) == whole.digest(5) == chain.state.digest()
    assert isinstance(chain.state, Book)
    assert chain.state.index == 5
    chain.go(0)
    assert chain.state.index == 0
    assert bits(loaded) == before
