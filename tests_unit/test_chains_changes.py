"""Changes without few factors, tensors of a method's own, and batches, in states and journal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from editsuite.cards import tiny_model
from editsuite.chains import Journal, ModelState, Plan
from editsuite.editors import Dense, LowRank, Update
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
