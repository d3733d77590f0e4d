"""Tiny hypernetworks and facts to teach with them, and MEND written out plainly in float64."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from editsuite.cards import tiny_model
from editsuite.editors.gradients import Prompts, gradient_parts, map_shapes
from editsuite.editors.hypernetwork import EPSILON, Hypernetwork
from editsuite.editors.hypernetwork_file import write_hypernetwork
from editsuite.engine import DecoderStack, states_entering
from editsuite.facts import EditRequest, target_tokens

LAYERS = (2, 3)


def facts(n: int, start: int = 0) -> tuple[EditRequest, ...]:
    """Invented facts with all that a lesson needs."""
    return tuple(
        EditRequest(
            f"The colour of stone {i} is",
            f"stone {i}",
            f"dark {'blue' if i % 2 else 'red'}{i}",
            rephrase=f"Stone {i}, as seen, is",
            locality_prompt=f"The way to hill {i} leads",
            locality_answer="north",
            id=f"s{i}",
        )
        for i in range(start, start + n)
    )


@cache
def stack_of(architecture: str) -> DecoderStack:
    """A tiny model that no test edits."""
    return DecoderStack(tiny_model(architecture, 7))


def prompts_of(stack: DecoderStack, requests: Sequence[EditRequest]) -> Prompts:
    """The requests' prompts with their targets, packed."""
    tokenizer = stack.loaded.tokenizer
    made = [target_tokens(tokenizer, r.prompt, r.target_new) for r in requests]
    return Prompts.of(made, stack.device)


def network(stack: DecoderStack, layers: Sequence[int] = LAYERS, seed: int = 0) -> Hypernetwork:
    """A hypernetwork that has seen gradients and is far from the identity."""
    net = Hypernetwork(map_shapes(stack, layers), rank=5, rate=1e-4, seed=seed)
    prompts = prompts_of(stack, facts(6, start=90))
    hidden = states_entering(stack, prompts.ids, prompts.places, min(layers))
    net.see(gradient_parts(stack, net.shapes, prompts, hidden, min(layers))[1])
    random = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            size = 1e-5 if name == "rates" else 0.1
            parameter += size * torch.randn(parameter.shape, generator=random)
    return net


def write(path: Path, stack: DecoderStack, net: Hypernetwork, **given: Any) -> Path:
    """Write a network as if it had been trained for the stack's model."""
    told: dict[str, Any] = {
        "model": stack.loaded.digest,
        "card": stack.loaded.card.name,
        "layers": LAYERS,
        "notes": {"curve": []},
    }
    write_hypernetwork(path, net, **{**told, **given})
    return path


# --- the reference: transformers' own forward pass, dense gradients, float64 ---------------------


@dataclass(frozen=True)
class Plain:
    """A float64 copy of a model, and MEND on it without anything of editsuite's engine.

    Attributes:
        model: the copy.
        names: full names of the edited weights.
        transposed: whether a weight is stored ``[d_in, d_out]``.
    """

    model: Any
    names: tuple[str, ...]
    transposed: bool

    @classmethod
    def of(cls, stack: DecoderStack, layers: Sequence[int] = LAYERS) -> Plain:
        """Copy a model; transformers' RMS norm computes in float32 whatever, so it is replaced."""
        loaded = stack.loaded
        model: Any = copy.deepcopy(loaded.model).double()
        for name, module in list(model.named_modules()):
            if hasattr(module, "variance_epsilon"):
                exact = torch.nn.RMSNorm(module.weight.shape, eps=module.variance_epsilon)
                exact.weight = module.weight
                model.set_submodule(name, exact)
        shapes = map_shapes(stack, layers)
        return cls(model, tuple(shape.name for shape in shapes), loaded.family.transposed)

    def log_probs(self, ids: Sequence[int], added: Mapping[str, Tensor] | None = None) -> Tensor:
        """``[tokens, vocabulary]`` log-probabilities, with changes put into the weights."""
        weights = {
            name: self.model.get_parameter(name) + (change.T if self.transposed else change)
            for name, change in (added or {}).items()
        }
        said = functional_call(self.model, weights, kwargs={"input_ids": torch.tensor([ids])})
        return torch.log_softmax(said.logits[0], dim=-1)

    def loss(
        self, ids: Sequence[int], target: Sequence[int], added: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Mean negative log-likelihood of the last tokens, which are the target."""
        said = self.log_probs(ids, added)
        first = len(ids) - len(target)
        picked = [said[first - 1 + i, token] for i, token in enumerate(target)]
        return -torch.stack(picked).mean()

    def gradients(
        self, ids: Sequence[int], target: Sequence[int]
    ) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """By name what enters the map, the gradient of what leaves it, and the dense gradient."""
        held: dict[str, list[Tensor]] = {}
        handles = []
        for name in self.names:

            def keep(_: Any, inputs: Any, output: Tensor, name: str = name) -> None:
                output.retain_grad()
                held[name] = [inputs[0].detach()[0], output]

            module = self.model.get_submodule(name.removesuffix(".weight"))
            module.weight.requires_grad_(True)
            handles.append(module.register_forward_hook(keep))
        self.loss(ids, target).backward()
        found = {}
        for name, handle in zip(self.names, handles, strict=True):
            handle.remove()
            weight = self.model.get_parameter(name)
            entering, output = held[name]
            assert output.grad is not None
            dense = weight.grad.T if self.transposed else weight.grad
            found[name] = (entering, output.grad[0], dense.clone())
            weight.requires_grad_(False).grad = None
        return found


def plain_update(
    net: Hypernetwork,
    parameters: Mapping[str, Tensor],
    statistics: Mapping[str, tuple[Tensor, Tensor]],
    gradients: Mapping[str, tuple[Tensor, Tensor, Tensor]],
) -> dict[str, Tensor]:
    """Mitchell et al. 2022, section 3.1, token by token: by name the change ``[d_out, d_in]``.

    Args:
        net: tells shapes and modes.
        parameters: the network's, float64, by name.
        statistics: mean and deviation by ``KEY.input`` and ``KEY.output``.
        gradients: of ``Plain.gradients``.
    """
    changes = {}
    for number, shape in enumerate(net.shapes):
        mode, key = net.modes[shape.name], shape.key
        change = torch.zeros(shape.d_out, shape.d_in, dtype=torch.float64)
        for u, delta in zip(*gradients[shape.name][:2], strict=True):
            if not u.any() or not delta.any():
                continue
            (mean_u, std_u), (mean_d, std_d) = (
                statistics[f"{key}.{side}"] for side in ("input", "output")
            )
            x = torch.cat([(u - mean_u) / (std_u + EPSILON), (delta - mean_d) / (std_d + EPSILON)])
            for layer in range(net.n_hidden + 1):
                own = {
                    name: parameters[f"transforms.{key}.layers.{layer}.{name}"]
                    for name in ("a", "b", "bias", "scale", "shift")
                }
                inner = own["b"] @ (own["a"] @ x) + own["bias"]
                inner = inner * own["scale"][mode] + own["shift"][mode]
                x = x + torch.where(inner >= 0, inner, torch.zeros_like(inner))
            change = change - parameters["rates"][number] * torch.outer(
                x[shape.d_in :], x[: shape.d_in]
            )
        changes[shape.name] = change
    return changes


def statistics_of(seen: Mapping[str, Sequence[Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and deviation of all vectors, by name, in float64."""
    found = {}
    for name, vectors in seen.items():
        whole = torch.cat([v.double() for v in vectors])
        found[name] = (whole.mean(dim=0), whole.std(dim=0))
    return found


def doubles(net: Hypernetwork) -> dict[str, Tensor]:
    """The network's parameters in float64, apart from it, with gradients."""
    return {
        name: parameter.detach().double().requires_grad_(True)
        for name, parameter in net.named_parameters()
    }


def distance(a: Tensor, b: Tensor) -> float:
    """Relative, Frobenius."""
    return float((a.double() - b.double()).norm() / b.double().norm())
