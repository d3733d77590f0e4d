"""A training's last evaluation on disk, from which it goes on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from editsuite.editors.hypernetwork import Hypernetwork
from editsuite.errors import ChainError
from editsuite.sealed import list_sealed, seal, unseal

STEM = "checkpoint"
NET, BEST, ADAM = "net:", "best:", "adam:"
#: What Adam keeps of a parameter.
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Evaluation:
    """How a network does on the facts that are held out.

    Attributes:
        step: steps made before it.
        trained: mean loss of the steps since the evaluation before.
        loss: the same loss on the held-out facts.
        prompt_accuracy: share of target tokens ranked first after the edited prompt.
        rephrase_accuracy: the same after its rephrase.
        locality: divergence from the unedited model on unrelated prompts, nats.
    """

    step: int
    trained: float
    loss: float
    prompt_accuracy: float
    rephrase_accuracy: float
    locality: float


@dataclass(frozen=True)
class Checkpoint:
    """A training after an evaluation.

    Attributes:
        curve: all evaluations so far.
        net: the network's tensors.
        best: the tensors at the evaluation with the least loss.
        adam: by parameter name, what Adam keeps.
    """

    curve: tuple[Evaluation, ...]
    net: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    adam: Mapping[str, Mapping[str, Tensor]]

    def write(self, folder: Path) -> None:
        """Keep it in place of the one before; when this returns it has reached the disk."""
        old = list_sealed(folder).get(STEM, [])
        tensors = {NET + name: t for name, t in self.net.items()}
        tensors |= {BEST + name: t for name, t in self.best.items()}
        for name, moments in self.adam.items():
            tensors |= {f"{ADAM}{name}:{kind}": t for kind, t in moments.items()}
        curve = json.dumps([asdict(evaluation) for evaluation in self.curve])
        path = seal(folder, STEM, tensors, {"curve": curve})
        for other in old:
            if other != path:
                other.unlink(missing_ok=True)


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The last checkpoint of a folder; None where there is none that is sound."""
    for path in list_sealed(folder).get(STEM, []):
        try:
            held = unseal(path)
        except ChainError as error:
            warnings.warn(f"training: {error}; it begins anew", stacklevel=2)
            path.unlink(missing_ok=True)
            continue
        adam: dict[str, dict[str, Tensor]] = {}
        for name, tensor in _behind(ADAM, held.tensors).items():
            parameter, _, kind = name.rpartition(":")
            adam.setdefault(parameter, {})[kind] = tensor
        curve = tuple(Evaluation(**one) for one in json.loads(held.metadata["curve"]))
        return Checkpoint(curve, _behind(NET, held.tensors), _behind(BEST, held.tensors), adam)
    return None


def _behind(mark: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(mark): t for n, t in tensors.items() if n.startswith(mark)}


def moments(net: Hypernetwork, optimizer: torch.optim.Adam) -> dict[str, dict[str, Tensor]]:
    """What Adam keeps, by the parameters' names."""
    kept = optimizer.state
    return {
        name: {kind: kept[parameter][kind].clone() for kind in _MOMENTS}
        for name, parameter in net.named_parameters()
        if parameter in kept
    }


def restore(
    net: Hypernetwork, optimizer: torch.optim.Adam, adam: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Give Adam back what it kept."""
    for name, parameter in net.named_parameters():
        if name in adam:
            optimizer.state[parameter] = {kind: t.clone() for kind, t in adam[name].items()}


def least(curve: Sequence[Evaluation]) -> Evaluation:
    """The evaluation with the least loss; the first of equals."""
    return min(curve, key=lambda evaluation: (evaluation.loss, evaluation.step))
