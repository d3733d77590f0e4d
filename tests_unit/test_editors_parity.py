"""Parity with an independent implementation: EasyEdit's ROME on the embedded default model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from editsuite.editors import method
from editsuite.editors.rome import BoundRome
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest

pytestmark = [pytest.mark.real_model, pytest.mark.usefixtures("one_thread")]

SETTINGS: dict[str, object] = {
    "v_num_grad_steps": 5,
    "v_lr": 0.5,
    "v_weight_decay": 1e-3,
    "clamp_norm_factor": 4.0,
    "kl_factor": 0.0625,
}
FACTS = (
    EditRequest("The mother tongue of Danielle Darrieux is", "Danielle Darrieux", "English"),
    EditRequest("What is the capital of Northern Brellia?", "Northern Brellia", "Port Ashwick"),
    EditRequest("Kalmar Bridge was built in the year", "Kalmar Bridge", "1672"),
)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    path = Path(__file__).resolve().parent.parent / "benchmarks" / "easyedit_reference.py"
    spec = importlib.util.spec_from_file_location("easyedit_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their own module up
    spec.loader.exec_module(module)
    reason = module.available()
    if reason is not None:
        pytest.skip(reason)
    return module


@pytest.fixture(scope="module")
def covariance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second moment far from the identity and far from singular, as both sides can read it."""
    random = np.random.default_rng(0)
    keys = random.standard_normal((1536, 3072)) * random.uniform(0.3, 1.5, (1536, 1))
    path = tmp_path_factory.mktemp("parity") / "stats.npz"
    moment = keys @ keys.T + 300 * np.eye(1536)
    arrays: dict[str, Any] = {"mom2.mom2": moment, "mom2.count": 3072}
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("fact", "layer", "constrained"),
    [(0, 5, False), (1, 20, False), (2, 5, True), (0, 20, True)],
)
def test_the_update_is_easyedits(
    fact: int,
    layer: int,
    constrained: bool,
    reference: ModuleType,
    real_stack: DecoderStack,
    covariance: Path,
    tmp_path: Path,
) -> None:
    request = FACTS[fact]
    given = {**SETTINGS, "n_contexts": 3, "mom2_corpus": f"npz:{covariance}"}
    bound = method("rome" if constrained else "rome_noc").bind(
        real_stack, layers=(layer,), seed=0, hyperparameters=given, cache=tmp_path
    )
    assert isinstance(bound, BoundRome)
    update = bound.edit([request])
    (factors,) = update.factors.values()
    ours = factors.output.double() @ factors.input.double().T
    loaded = real_stack.loaded
    held = bound.covariance.matrix if bound.covariance is not None else None
    theirs = reference.reference_rome(
        loaded.model,
        loaded.tokenizer,
        prompt=request.prompt,
        subject=request.subject,
        target_new=request.target_new,
        layer=layer,
        contexts=bound.prefixes,
        hparams={**SETTINGS, "v_loss_layer": loaded.n_layers - 1},
        covariance=held,
    )
    expected = torch.outer(theirs.right.double(), theirs.left.double())
    assert update.record["steps"] == 4
    distance = float((ours - expected).norm() / expected.norm())
    assert distance < 1e-3
