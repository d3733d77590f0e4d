"""Saliency of a model's attention, layer by layer (paper equation 5).

``I_l = | sum over heads of A_hl * dL/dA_hl |``, elementwise, with ``A_hl`` the attention matrix of
a head after its softmax and ``L`` a loss of what the model says next. As in Wang et al. 2023
("Label words are anchors", arXiv 2305.14160), whose code multiplies ``A`` by ones and takes the
gradient of those: the same product, summed over heads before the absolute value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from editsuite.engine import DecoderStack, at_least_float32, causal_mask
from editsuite.engine.memory import GPU_SHARE
from editsuite.errors import MeasureError

T = TypeVar("T")
#: Bytes that one prompt's graph may take on a CPU.
CPU_GRAPH = 1 << 30


@dataclass(frozen=True)
class Traced(Generic[T]):
    """What came of one prompt.

    Attributes:
        logits: ``[vocab]``, of the token after the prompt's last.
        layers: of each layer, what was made of its saliency.
    """

    logits: Tensor
    layers: tuple[T, ...]


def trace(
    stack: DecoderStack,
    ids: Sequence[int],
    gradient: Callable[[Tensor], Tensor],
    reduce: Callable[[Tensor], T],
    *,
    by_layer: bool | None = None,
) -> Traced[T]:
    """Run one prompt in the model's present state, go back from the loss, and see each layer.

    An adapter is asked at the last token, as by every prompt. No parameter gets a gradient. The
    graph of the whole pass is held, or with ``by_layer`` that of one layer at a time: then each
    layer is run twice, and of attention matrices no more than one layer's are alive. Both give the
    same numbers.

    Args:
        stack: the model.
        ids: the prompt's tokens.
        gradient: of the loss by the logits after the last token, both ``[vocab]``.
        reduce: told a layer's ``I_l``, ``[tokens, tokens]``, row ``i`` what token ``i`` takes from
            each token ``j``; in float64 on the CPU. What it gives is all that is kept.
        by_layer: hold one layer's graph at a time; None: where the whole would be large.

    Raises:
        MeasureError: an attention module gives no matrix.
    """
    by_layer = not _small(stack, len(ids)) if by_layer is None else by_layer
    seen = _Seen(stack, reduce)
    run = _Pass(stack, ids)
    with torch.enable_grad(), _eager(stack), seen.watching():
        logits = _backward_by_layer(run, gradient) if by_layer else _backward(run, gradient)
    return Traced(logits, tuple(seen.found[layer] for layer in range(stack.depth)))


def _backward(run: _Pass, gradient: Callable[[Tensor], Tensor]) -> Tensor:
    """With the graph of all layers."""
    entering = run.embedded().requires_grad_()
    leaving = run.layers(entering, 0, run.stack.depth)
    logits = run.logits(leaving)
    torch.autograd.grad(logits, entering, gradient(logits.detach()))
    return logits.detach()


def _backward_by_layer(run: _Pass, gradient: Callable[[Tensor], Tensor]) -> Tensor:
    """With the graph of one layer, made again from the states that enter it."""
    states = [run.embedded()]
    with torch.no_grad():
        for layer in range(run.stack.depth):
            states.append(run.layers(states[-1], layer, layer + 1))
    last = states.pop().requires_grad_()
    logits = run.logits(last)
    (grad,) = torch.autograd.grad(logits, last, gradient(logits.detach()))
    for layer in reversed(range(run.stack.depth)):
        entering = states.pop().requires_grad_()
        leaving = run.layers(entering, layer, layer + 1)
        (grad,) = torch.autograd.grad(leaving, entering, grad)
    return logits.detach()


@dataclass(frozen=True)
class _Pass:
    """One prompt, run through any span of layers."""

    stack: DecoderStack
    ids: Sequence[int]

    @property
    def _positions(self) -> Tensor:
        return torch.arange(len(self.ids), device=self.stack.device)[None]

    def embedded(self) -> Tensor:
        tokens = torch.tensor([list(self.ids)], device=self.stack.device)
        return self.stack.embed(tokens, self._positions).detach()

    def layers(self, entering: Tensor, start: int, stop: int) -> Tensor:
        real = torch.ones(1, len(self.ids), dtype=torch.bool, device=self.stack.device)
        return self.stack.run(
            entering,
            start=start,
            stop=stop,
            positions=self._positions,
            mask=causal_mask(real),
            queries=self._positions == len(self.ids) - 1,
        )

    def logits(self, leaving: Tensor) -> Tensor:
        return self.stack.logits(leaving[:, -1])[0]


@dataclass(frozen=True)
class _Seen(Generic[T]):
    """Takes every layer's attention as its gradient comes by, and keeps what is made of it."""

    stack: DecoderStack
    reduce: Callable[[Tensor], T]
    found: dict[int, T] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within, the model's attention modules are watched."""
        path = self.stack.loaded.family.attention
        handles = []
        try:
            for index, layer in enumerate(self.stack.layers):
                module = layer.get_submodule(path)
                handles.append(module.register_forward_hook(self._watch(index)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _watch(self, layer: int) -> Callable[[nn.Module, Any, Any], None]:
        def watch(module: nn.Module, _: Any, output: Any) -> None:
            attention = output[1]
            if attention is None:
                raise MeasureError(
                    f"layer {layer} of {self.stack.loaded.card.name}: {type(module).__name__} "
                    "gives no attention matrix, so saliency cannot be measured; load the model "
                    "with transformers' eager attention"
                )
            if attention.requires_grad:
                # Detached: a hook that holds its own tensor would keep the graph alive.
                held = attention.detach()
                attention.register_hook(lambda grad: self._take(layer, held, grad))

        return watch

    def _take(self, layer: int, attention: Tensor, grad: Tensor) -> None:
        product = at_least_float32(attention) * at_least_float32(grad)
        self.found[layer] = self.reduce(product.sum(dim=1)[0].abs().cpu().double())


@contextmanager
def _eager(stack: DecoderStack) -> Iterator[None]:
    """Within, attention is computed step by step, so that there is a matrix to look at."""
    model: Any = stack.loaded.model
    before = model.config._attn_implementation
    if before == "eager":
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _small(stack: DecoderStack, tokens: int) -> bool:
    """Whether a graph of all layers is small beside the memory there is."""
    config: Any = stack.loaded.model.config
    hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    # What autograd keeps of a layer: some sixteen rows of the width, four of the feed-forward
    # block, and the scores and shares of attention.
    kept = tokens * (16 * hidden + 4 * inner) + 4 * heads * tokens**2
    room = CPU_GRAPH
    if stack.device.type == "cuda":
        room = int(GPU_SHARE * torch.cuda.mem_get_info(stack.device)[0])
    return kept * stack.depth * stack.loaded.dtype.itemsize <= room
