"""A cheap, deterministic editor, and chains of it, for tests where the method does not matter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from editsuite.cards import LoadedModel, tiny_model
from editsuite.chains import Chain, Plan
from editsuite.editors import LowRank, Update
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest


def facts(n: int) -> tuple[EditRequest, ...]:
    """Invented facts, each another one."""
    return tuple(
        EditRequest(f"The colour of stone {i} is", f"stone {i}", f"green {i}", id=f"s{i}")
        for i in range(n)
    )


@dataclass(frozen=True)
class FakeEditor:
    """Updates drawn from the request, and from the weights as they stand: order matters.

    Attributes:
        loaded: the model.
        layers: where to edit.
        rank: rank of an update.
        log: file to which every edit adds a line.
        before: called with the requests before an edit; may raise.
    """

    loaded: LoadedModel
    layers: tuple[int, ...] = (1,)
    rank: int = 1
    log: Path | None = None
    before: Callable[[Sequence[EditRequest]], None] | None = None

    @property
    def inputs(self) -> Mapping[str, object]:
        return {"rank": self.rank}

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(self.loaded.down_proj_name(layer) for layer in self.layers)

    def prepare(self) -> None:
        if self.before is not None:
            self.before(())

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        if self.before is not None:
            self.before(requests)
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write("".join(f"{request.id}\n" for request in requests))
        factors = {}
        for name in self.parameters:
            weight = self._oriented(name)
            text = "".join(request.digest for request in requests) + name
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
            random = torch.Generator().manual_seed(seed)
            output = 0.1 * torch.randn(weight.shape[0], self.rank, generator=random)
            entering = 0.1 * torch.randn(weight.shape[1], self.rank, generator=random)
            factors[name] = LowRank(output + 0.1 * weight[:, : self.rank], entering)
        return Update(factors, {"facts": ",".join(r.id for r in requests), "norm": 0.25})

    def _oriented(self, name: str) -> Tensor:
        weight = self.loaded.model.get_parameter(name).detach().float()
        return weight.T if self.loaded.family.transposed else weight


def model(architecture: str = "llama", dtype: torch.dtype = torch.float32) -> LoadedModel:
    """A tiny model in some dtype."""
    loaded = tiny_model(architecture, 41)
    module: torch.nn.Module = loaded.model
    module.to(dtype)
    return replace(loaded, dtype=dtype)


def plan_of(editor: FakeEditor, n: int = 12, batch_size: int = 1) -> Plan:
    """The plan of a chain of fake edits."""
    return Plan(
        card=editor.loaded.card.name,
        model=editor.loaded.digest,
        dtype=str(editor.loaded.dtype),
        editor="fake",
        version=1,
        layers=editor.layers,
        batch_size=batch_size,
        seed=0,
        facts="stones",
        requests=facts(n),
        inputs=editor.inputs,
    )


def chain_of(editor: FakeEditor, cache: Path, plan: Plan | None = None) -> Chain:
    """A chain of fake edits on the editor's model, which must be unedited."""
    return Chain(DecoderStack(editor.loaded), plan or plan_of(editor), editor, cache)


def bits(loaded: LoadedModel) -> str:
    """Digest of every tensor of a model, bit by bit."""
    digest = hashlib.sha256()
    for name, value in sorted(loaded.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
