"""Entrants of the study of power on tiny models, beside what is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import mend_
import numpy as np
import torch
from torch import Tensor

from benchmarks.spoilt.entrant import Entrant
from benchmarks.spoilt.entrants import ENTRANTS
from editsuite.cards import tiny_model
from editsuite.editors import Dense, LowRank, Update
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest

FACTS = tuple(
    EditRequest(f"What is spoken by {name} at home?", name, target, id=name)
    for name, target in (("Orla", "Welsh"), ("Bo Tern", "Urdu"), ("Cy", "Zulu"), ("Di Ro", "Thai"))
)
SEARCH: Mapping[str, Any] = {"v_num_grad_steps": 4, "n_contexts": 2}
#: Quick settings by method, and the layers of a model of four.
GIVEN: Mapping[str, Mapping[str, Any]] = {
    "rome": SEARCH,
    "memit": {**SEARCH, "mom2_update_weight": 2.0},
    "alphaedit": {**SEARCH, "nullspace_threshold": 1.0, "L2": 2.0},
    "grace": {"eps": 1e-3, "n_iter": 5, "edit_lr": 0.3},
    "ft_l": {"num_steps": 3},
    "mend": {},
}
LAYERS: Mapping[str, tuple[int, ...]] = {
    "rome": (1,),
    "memit": (0, 1, 2),
    "alphaedit": (0, 1, 2),
    "grace": (2,),
    "ft_l": (1,),
    "mend": mend_.LAYERS,
}


@cache
def stack_of(architecture: str = "llama") -> DecoderStack:
    """A tiny model; a test that edits it puts it back."""
    return DecoderStack(tiny_model(architecture, 7))


def prepared(folder: Path) -> Path:
    """A cache folder with a covariance of known eigenvalues and a hypernetwork."""
    vectors, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((128, 128)))
    arrays: dict[str, Any] = {
        "mom2.mom2": vectors * np.logspace(-2, 1, 128) @ vectors.T,
        "mom2.count": 1,
    }
    np.savez(folder / "c.npz", **arrays)
    mend_.write(folder / "mend.safetensors", stack_of(), mend_.network(stack_of()))
    return folder


def settings_of(base: str, folder: Path) -> dict[str, Any]:
    """Quick hyperparameters of a method."""
    if base == "mend":
        return {"hypernetwork": str(folder / "mend.safetensors")}
    corpus = {"mom2_corpus": f"npz:{folder / 'c.npz'}"}
    return {**GIVEN[base], **(corpus if base in ("rome", "memit", "alphaedit") else {})}


def bind(entrant: Entrant | str, folder: Path, **given: Any) -> Any:
    """An entrant on the tiny model; what its mistake sets goes before what is given here."""
    entrant = ENTRANTS[entrant] if isinstance(entrant, str) else entrant
    return entrant.method(FACTS).bind(
        stack_of(),
        layers=LAYERS[entrant.base],
        seed=0,
        hyperparameters={**settings_of(entrant.base, folder), **given},
        cache=folder,
    )


def twins(name: str, folder: Path, **given: Any) -> tuple[Any, Any]:
    """An entrant and the honest editor beside it."""
    return bind(name, folder, **given), bind(ENTRANTS[name].beside, folder, **given)


def matrices(update: Update) -> list[Tensor]:
    """The changes of an update as matrices in float64, in the order of their names."""
    found = []
    for _, change in sorted(update.factors.items()):
        if isinstance(change, Dense):
            found.append(change.delta.double())
        else:
            found.append(change.output.double() @ change.input.double().T)
    return found


def factors(update: Update) -> list[LowRank]:
    """The changes of an update, in the order of the layers."""
    found = []
    for change in update.factors.values():
        assert isinstance(change, LowRank)
        found.append(change)
    return found


def same_bits(one: Update, other: Update) -> bool:
    """Whether two updates are equal to the bit, tensors of their own included."""
    mine, others = (
        [*(t for c in u.factors.values() for t in vars(c).values()), *u.tensors.values()]
        for u in (one, other)
    )
    return len(mine) == len(others) and all(map(torch.equal, mine, others))


@torch.no_grad()
def plain_logits(stack: DecoderStack, ids: Sequence[int]) -> Tensor:
    """Log-probabilities by transformers' own pass, ``[tokens, vocabulary]`` float64."""
    model: Any = stack.loaded.model
    logits: Tensor = model(input_ids=torch.tensor([list(ids)])).logits[0]
    return torch.log_softmax(logits.double(), dim=-1)


@torch.no_grad()
def plain_keys(stack: DecoderStack, ids: Sequence[int], layer: int) -> Tensor:
    """What enters a layer's down projection by transformers' own pass, ``[tokens, d_ff]``."""
    kept: list[Tensor] = []
    handle = stack.loaded.down_proj(layer).register_forward_pre_hook(
        lambda _, inputs: kept.append(inputs[0][0].detach())
    )
    plain_logits(stack, ids)
    handle.remove()
    return kept[0]
