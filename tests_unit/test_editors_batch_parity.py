"""Parity with independent implementations: EasyEdit's MEMIT and AlphaEdit on the default model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.easyedit_batch import Batch, reference_alphaedit, reference_memit
from benchmarks.easyedit_reference import available
from editsuite.chains import ModelState
from editsuite.editors import LowRank, Update, method
from editsuite.editors.alphaedit import BoundAlphaEdit
from editsuite.editors.memit import BoundMemit
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest
from editsuite.facts.generator import generate_facts

pytestmark = [pytest.mark.real_model, pytest.mark.usefixtures("one_thread")]

SEARCH: dict[str, object] = {
    "v_num_grad_steps": 2,
    "v_lr": 0.5,
    "v_weight_decay": 1e-3,
    "clamp_norm_factor": 4.0,
    "kl_factor": 0.0625,
}
LAYERS = (4, 5, 6)


@pytest.fixture(scope="module")
def facts() -> tuple[EditRequest, ...]:
    return generate_facts(10, seed=11)


@pytest.fixture(scope="module")
def covariance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Second moments far from the identity and far from singular, one for each layer."""
    folder = tmp_path_factory.mktemp("parity")
    for layer in LAYERS:
        random = np.random.default_rng(layer)
        keys = random.standard_normal((1536, 3072)) * random.uniform(0.3, 1.5, (1536, 1))
        moment = keys @ keys.T + 300 * np.eye(1536)
        arrays: dict[str, Any] = {"mom2.mom2": moment, "mom2.count": 3072}
        np.savez(folder / f"{layer}.npz", **arrays)
    return folder / "{layer}.npz"


def tree() -> Path:
    """A tree of EasyEdit, where there is one."""
    home = os.environ.get("EASYEDIT_HOME")
    if home is None:
        pytest.skip("EASYEDIT_HOME names no tree of EasyEdit")
    return Path(home)


def far(update: Update, expected: dict[int, Any], stack: DecoderStack) -> dict[int, float]:
    """Relative Frobenius distance by layer."""
    found = {}
    for layer, delta in expected.items():
        factors = update.factors[stack.loaded.down_proj_name(layer)]
        assert isinstance(factors, LowRank)
        ours = factors.output.double() @ factors.input.double().T
        found[layer] = float((ours - delta).norm() / delta.norm())
    return found


@pytest.mark.parametrize("source", ["registry", "tree"])
def test_a_batch_of_ten_is_easyedits_memit(
    source: str,
    facts: tuple[EditRequest, ...],
    real_stack: DecoderStack,
    covariance: Path,
    tmp_path: Path,
) -> None:
    home = tree() if source == "tree" else None
    if home is None and available() is not None:
        pytest.skip(str(available()))
    given = {**SEARCH, "mom2_update_weight": 20}
    bound = method("memit").bind(
        real_stack,
        layers=LAYERS,
        seed=0,
        hyperparameters={**given, "n_contexts": 3, "mom2_corpus": f"npz:{covariance}"},
        cache=tmp_path,
    )
    assert isinstance(bound, BoundMemit)
    update = bound.edit(facts)
    loaded = real_stack.loaded
    asked = {**given, "v_loss_layer": loaded.n_layers - 1}
    batch = Batch(loaded.model, loaded.tokenizer, facts, LAYERS, bound.ground.prefixes, asked, home)
    moments = {layer: bound.ground.covariances[layer].matrix for layer in LAYERS}
    assert max(far(update, reference_memit(batch, moments), real_stack).values()) < 1e-3


def test_two_batches_are_easyedits_alphaedit(
    facts: tuple[EditRequest, ...], real_stack: DecoderStack, covariance: Path, tmp_path: Path
) -> None:
    """The second batch knows the keys of the first, which stays on in both models."""
    home = tree()
    own = {"nullspace_threshold": 0.5, "L2": 2.0}
    bound = method("alphaedit").bind(
        real_stack,
        layers=LAYERS,
        seed=0,
        hyperparameters={**SEARCH, **own, "n_contexts": 2, "mom2_corpus": f"npz:{covariance}"},
        cache=tmp_path,
    )
    assert isinstance(bound, BoundAlphaEdit)
    loaded = real_stack.loaded
    asked = {**SEARCH, **own, "v_loss_layer": loaded.n_layers - 1}
    bases = {layer: bound.spaces[layer].basis for layer in LAYERS}
    state = ModelState(loaded, bound.parameters, bound)
    earlier = None
    try:
        for part in (facts[:2], facts[2:4]):
            batch = Batch(
                loaded.model, loaded.tokenizer, part, LAYERS, bound.ground.prefixes, asked, home
            )
            theirs, earlier = reference_alphaedit(
                batch, {layer: basis @ basis.T for layer, basis in bases.items()}, earlier
            )
            update = bound.edit(part)
            assert max(far(update, theirs, real_stack).values()) < 1e-3
            state.apply(update)
    finally:
        state.reset()
