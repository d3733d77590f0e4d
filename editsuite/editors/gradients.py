"""The gradient of targets' likelihood as rank-one parts, and passes with such parts added.

Edits at the last layers change nothing below them. So the states that enter the lowest edited
layer are computed once, without a gradient, and everything here runs the layers above alone,
all prompts packed into one row, with the vocabulary head only where something is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from editsuite.editors.hypernetwork import MapShape, Parts
from editsuite.engine import DecoderStack, Places, run_packed
from editsuite.facts import TokenizedTarget


@dataclass(frozen=True)
class Prompts:
    """Prompts with their targets, packed into one row.

    Attributes:
        ids: ``[tokens]``; of each prompt its context and all target tokens but the last.
        places: of the tokens.
        read: ``[targets]`` column before each target token, where it is predicted.
        wanted: ``[targets]`` the target tokens' ids.
        weights: ``[targets]`` one over the number of target tokens of the prompt.
    """

    ids: Tensor
    places: Places
    read: Tensor
    wanted: Tensor
    weights: Tensor

    @classmethod
    def of(cls, prompts: Sequence[TokenizedTarget], device: torch.device) -> Prompts:
        """Pack prompts in their order."""
        ids: list[int] = []
        read: list[int] = []
        for prompt in prompts:
            first = len(ids) + len(prompt.context_ids) - 1
            read += range(first, first + len(prompt.target_ids))
            ids += prompt.ids[:-1]
        lengths = [len(prompt.target_ids) for prompt in prompts]
        return cls(
            torch.tensor(ids, device=device),
            Places.of([(0, len(prompt.ids) - 1) for prompt in prompts], device),
            torch.tensor(read, device=device),
            torch.tensor([t for prompt in prompts for t in prompt.target_ids], device=device),
            torch.tensor([1 / n for n in lengths for _ in range(n)], device=device),
        )


def map_shapes(stack: DecoderStack, layers: Sequence[int]) -> tuple[MapShape, ...]:
    """The linear maps of the layers' feed-forward blocks, in their own orientation."""
    loaded = stack.loaded
    shapes = []
    for layer in layers:
        for name in loaded.projection_names(layer):
            rows, columns = loaded.model.get_parameter(name).shape
            d_in, d_out = (rows, columns) if loaded.family.transposed else (columns, rows)
            shapes.append(MapShape(name, d_in, d_out))
    return tuple(shapes)


def logits_above(
    stack: DecoderStack, hidden: Tensor, places: Places, layer: int, read: Tensor
) -> Tensor:
    """What is predicted at the columns ``read``, float32 ``[read, vocabulary]``.

    Args:
        stack: the model.
        hidden: ``[tokens, hidden]`` states entering ``layer``.
        places: of the tokens.
        layer: first layer to run.
        read: columns.
    """
    return stack.logits(run_packed(stack, hidden, places, layer, stack.depth).index_select(0, read))


def target_losses(logits: Tensor, prompts: Prompts) -> Tensor:
    """Mean negative log-likelihood of each prompt's target, ``[prompts]``, in nats a token."""
    log_probs = torch.log_softmax(logits, dim=-1).gather(1, prompts.wanted[:, None])[:, 0]
    owner = prompts.places.sequence[prompts.read]
    losses = log_probs.new_zeros(int(prompts.places.sequence.max()) + 1)
    return losses.index_add(0, owner, -log_probs * prompts.weights.to(log_probs.dtype))


def gradient_parts(
    stack: DecoderStack, shapes: Sequence[MapShape], prompts: Prompts, hidden: Tensor, layer: int
) -> tuple[Tensor, dict[str, Parts]]:
    """The loss of each prompt's target, and the gradients of all maps as rank-one parts.

    Parts of several prompts are those that each has alone. A token whose gradient is zero (behind
    the last layer's attention only the positions that are read have one) gives no part.

    Args:
        stack: the model, in any state.
        shapes: the maps.
        prompts: what should be said.
        hidden: ``[tokens, hidden]`` states entering ``layer``.
        layer: the lowest edited layer.

    Returns:
        ``[prompts]`` mean negative log-likelihoods, and by the maps' names the parts.
    """
    taps = [_Tap() for _ in shapes]
    with torch.enable_grad(), hooked(stack, shapes, taps):
        losses = target_losses(
            logits_above(stack, hidden, prompts.places, layer, prompts.read), prompts
        )
        gradients = torch.autograd.grad(losses.sum(), [tap.probe for tap in taps])
    parts = {}
    for shape, tap, gradient in zip(shapes, taps, gradients, strict=True):
        entering, leaving = tap.input.float(), gradient[0].float()
        there = (entering != 0).any(dim=-1) & (leaving != 0).any(dim=-1)
        owner = prompts.places.sequence[there]
        parts[shape.name] = Parts(entering[there], leaving[there], owner)
    return losses.detach(), parts


Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]


class _Tap:
    """Keeps what enters a map, and stands where the gradient of what leaves it is taken.

    A zero that is added to the output has the output's gradient. So the backward pass ends at
    the lowest edited map, and goes through no attention below it.
    """

    input: Tensor
    probe: Tensor

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.input = inputs[0].detach()[0]
        self.probe = torch.zeros_like(output, requires_grad=True)
        return output + self.probe


@contextmanager
def hooked(
    stack: DecoderStack, shapes: Sequence[MapShape], hooks: Sequence[Hook]
) -> Iterator[None]:
    """Within, each map's output goes through its hook."""
    with ExitStack() as handles:
        for shape, hook in zip(shapes, hooks, strict=True):
            module = stack.loaded.module(shape.name.removesuffix(".weight"))
            handles.callback(module.register_forward_hook(hook).remove)
        yield


@contextmanager
def changed(
    stack: DecoderStack,
    shapes: Sequence[MapShape],
    updates: Mapping[str, Parts],
    owner: Tensor | None = None,
) -> Iterator[None]:
    """Within, the maps are what the updates make of them; the weights are left alone.

    Args:
        stack: the model.
        shapes: the maps.
        updates: by name, parts that are added.
        owner: ``[tokens]`` the request whose parts each token of the packed row meets; None
            where every token meets all.
    """

    def hook(parts: Parts) -> Hook:
        def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            along = inputs[0].to(parts.input.dtype) @ parts.input.T
            if owner is not None:
                along = along * (owner[:, None] == parts.owner[None])
            return output + (along @ parts.output).to(output.dtype)

        return add

    with hooked(stack, shapes, [hook(updates[shape.name]) for shape in shapes]):
        yield
