"""Saliency the plain way: transformers' own pass, all attention matrices and gradients at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from editsuite.cards import LoadedModel
from editsuite.cards.families import FAMILIES
from editsuite.engine import DecoderStack
from editsuite.measures.saliency.attention import trace
from editsuite.measures.saliency.loss import LabelLoss

ARCHITECTURES = sorted(FAMILIES)
#: A prompt of tokens that need no tokenizer, and the choice behind it.
IDS, LABELS, RIGHT = tuple(b"Review: fine\nSentiment: good\nReview: poor"), (100, 103), 1


@dataclass(frozen=True)
class Push:
    """An adapter that replaces what a module puts out at every query.

    Attributes:
        layer: see ``editsuite.engine.Adapter``.
        module: see there.
    """

    layer: int
    module: str

    def __call__(self, entering: Tensor, leaving: Tensor) -> Tensor:
        return 3 * leaving.flip(-1) + 0.5


@contextmanager
def pushed(loaded: LoadedModel, adapter: Push) -> Iterator[None]:
    """The adapter at the last token of transformers' own forward pass."""

    def replace(_: object, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        changed = output.clone()
        changed[:, -1] = adapter(inputs[0][:, -1], output[:, -1])
        return changed

    module = loaded.layer(adapter.layer).get_submodule(adapter.module)
    handle = module.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def plain_loss(loaded: LoadedModel, ids: Sequence[int]) -> tuple[Tensor, Any]:
    """The loss with its graph, and transformers' output with all attention matrices."""
    model: Any = loaded.model
    before = model.config._attn_implementation
    if before != "eager":
        model.set_attn_implementation("eager")
    try:
        embedding: nn.Module = loaded.module(loaded.family.embedding)
        entering = embedding(torch.tensor([list(ids)])).detach().requires_grad_()
        out = model(inputs_embeds=entering, output_attentions=True, use_cache=False)
    finally:
        if before != "eager":
            model.set_attn_implementation(before)
    chosen = out.logits[0, -1, list(LABELS)]
    return nn.functional.cross_entropy(chosen[None], torch.tensor([RIGHT])), out


def plain_saliency(loaded: LoadedModel, ids: Sequence[int] = IDS) -> list[Tensor]:
    """``I_l`` of every layer, equation 5 as it is printed."""
    loss, out = plain_loss(loaded, ids)
    grads = torch.autograd.grad(loss, out.attentions)
    pairs = zip(out.attentions, grads, strict=True)
    return [(a * g).sum(dim=1)[0].abs().detach().double() for a, g in pairs]


def own_saliency(
    stack: DecoderStack, ids: Sequence[int] = IDS, *, by_layer: bool | None = None
) -> list[Tensor]:
    """The same by the suite."""
    loss = LabelLoss(LABELS, RIGHT)
    found = trace(stack, ids, loss.direction, lambda saliency: saliency, by_layer=by_layer)
    return [loss.scale(found.logits) * layer for layer in found.layers]
