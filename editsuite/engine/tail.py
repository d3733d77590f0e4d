"""The layers above an edit as one differentiable step, for a search that runs them many times.

A search for a value vector runs the same few tokens through the same layers dozens of times and
wants the gradient of the input alone. ``Tail`` does that with hand-written layers; the general
way, ``DecoderStack.run`` under autograd, gives the same numbers and takes every architecture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.mistral.modeling_mistral import MistralRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from editsuite.engine.attention import Attention
from editsuite.engine.cache import LayerCache
from editsuite.engine.llama import KINDS, LlamaLayer, Norm, Passed, Rotation, Round
from editsuite.engine.packing import Places
from editsuite.engine.seats import Seats
from editsuite.engine.stack import DecoderStack

_NORMS = (LlamaRMSNorm, MistralRMSNorm, Qwen2RMSNorm)
_ACTIVATIONS = ("SiLU", "SiLUActivation")


@dataclass(frozen=True)
class Asked:
    """What a search wants to know of its tokens.

    Attributes:
        places: of the packed tokens that are run; their keys and values are made anew each time.
        read: ``[positions]`` tokens whose next-token distribution is wanted.
        wanted: ``[positions - 1]`` ids whose log-probability is wanted, one for each position
            but the last; of the last position the whole distribution is.
    """

    places: Places
    read: Tensor
    wanted: Tensor


def written_out(stack: DecoderStack, start: int) -> bool:
    """Whether the layers from ``start`` on are of the kind that is written out here.

    Float32 only: in other precisions transformers rounds at places that are its own choice. A
    module that somebody has hooked or replaced must run as it is, and so must an adapter's.
    """
    layers = list(stack.layers)[start:]
    if stack.adapter is not None and stack.adapter.layer >= start:
        return False
    parts = [*layers, stack.norm, stack.head]
    return (
        bool(layers)
        and all(type(layer) in KINDS and _usual(layer) for layer in layers)
        and type(stack.norm) in _NORMS
        and type(stack.head) is nn.Linear
        and all(_untouched(module) for part in parts for module in part.modules())
        and all(p.dtype is torch.float32 for part in parts for p in part.parameters())
    )


def _usual(layer: Any) -> bool:
    norms = layer.input_layernorm, layer.post_attention_layernorm
    attention, mlp = layer.self_attn, layer.mlp
    linears = [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
    linears += [mlp.gate_proj, mlp.up_proj, mlp.down_proj]
    return (
        all(type(norm) in _NORMS for norm in norms)
        and all(type(linear) is nn.Linear for linear in linears)
        and type(mlp.act_fn).__name__ in _ACTIVATIONS
        and not layer.training
    )


def _untouched(module: nn.Module) -> bool:
    return not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


@dataclass(frozen=True)
class Done:
    """What the gradient needs of a pass."""

    layers: tuple[Passed, ...]
    norm: tuple[Tensor, Tensor]
    log_probs: Tensor


class Tail:
    """Layers ``start`` to the last, final norm, head and log-softmax, on fixed places.

    Args:
        stack: a model whose layers are ``written_out``.
        start: first layer to run.
        asked: the tokens, and what is wanted of them.
        earlier: places of the tokens before them.
        cache: keys and values of ``earlier``, packed in one row.
    """

    def __init__(
        self, stack: DecoderStack, start: int, asked: Asked, earlier: Places, cache: LayerCache
    ) -> None:
        self._stack, self._asked = stack, asked
        product = self._product = stack.product
        self._layers = [LlamaLayer(layer, product) for layer in list(stack.layers)[start:]]
        self._norm = Norm(stack.norm)
        head: Any = stack.head
        self._head: Tensor = head.weight.detach()
        self._head_bias: Tensor | None = None if head.bias is None else head.bias.detach()
        self._rounds = list(_rounds(stack, start, asked, earlier, cache))

    def __call__(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the wanted ids, and the last position's whole log-softmax.

        Args:
            hidden: ``[tokens, hidden]`` states entering the first of the layers.
        """
        self._stack.keep_pace()
        wanted, last = _Pass.apply(hidden, self)  # type: ignore[no-untyped-call]
        return wanted, last

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor, Done]:
        """The pass, and what ``backward`` needs."""
        passed = []
        for layer, at in zip(self._layers, self._rounds, strict=True):
            hidden, had = layer.forward(hidden, at)
            passed.append(had)
        hidden, norm = self._norm.forward(hidden)
        logits = self._product(hidden, self._head, self._head_bias)
        log_probs = torch.log_softmax(logits, dim=-1)
        wanted = log_probs[:-1].gather(1, self._asked.wanted[:, None])[:, 0]
        return wanted, log_probs[-1].clone(), Done(tuple(passed), norm, log_probs)

    def backward(self, wanted: Tensor, last: Tensor, done: Done) -> Tensor:
        """The gradient of ``hidden``; uses up the log-probabilities of ``done``."""
        # A sum over the vocabulary would depend on the number of threads; torch's own gradient of
        # the log-softmax goes row by row.
        whole = torch._log_softmax_backward_data(last[None], done.log_probs[-1:], -1, last.dtype)
        grad = done.log_probs.exp_()
        grad[:-1].mul_(-wanted[:, None])
        grad[:-1].scatter_add_(1, self._asked.wanted[:, None], wanted[:, None])
        grad[-1:] = whole
        grad = self._norm.backward(self._product(grad, self._head.t(), None), done.norm)
        rounds = zip(self._layers, done.layers, self._rounds, strict=True)
        for layer, had, at in reversed(list(rounds)):
            grad = layer.backward(grad, had, at)
        return grad


class _Pass(torch.autograd.Function):
    """One step for autograd: everything between the change and the log-probabilities."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, tail: Tail) -> tuple[Tensor, Tensor]:
        wanted, last, ctx.done = tail.forward(hidden)
        ctx.tail = tail
        return wanted, last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        done, ctx.done = ctx.done, None  # it is used up: a second backward must fail, not lie
        if done is None:
            raise RuntimeError("the gradient of this pass was taken already; run it again")
        return ctx.tail.backward(*grads, done), None


def _rounds(
    stack: DecoderStack, start: int, asked: Asked, earlier: Places, cache: LayerCache
) -> Iterator[Round]:
    """Every layer's surroundings; the last one lets only the read positions go on."""
    number = int(asked.places.sequence.max()) + 1
    there, made = Seats.of(earlier, number), Seats.of(asked.places, number)
    read = Places(asked.places.sequence[asked.read], asked.places.position[asked.read])
    rotation = Rotation.of(*stack.rotary(asked.places.position))
    attentions: dict[tuple[bool, int | None], Attention] = {}
    for index, layer in enumerate(list(stack.layers)[start:], start):
        inner: Any = layer.self_attn
        last, window = index == stack.depth - 1, stack.window(layer)
        if (last, window) not in attentions:
            attentions[last, window] = Attention.of(
                Seats.of(read, number) if last else made,
                made,
                there.position,
                heads=(stack.loaded.model.config.num_attention_heads, _key_heads(inner)),
                scale=inner.scaling,
                window=window,
                dtype=inner.q_proj.weight.dtype,
            )
        yield Round(
            attentions[last, window],
            _prefix(cache, index, there, inner),
            rotation,
            rotation.rows(asked.read) if last else rotation,
            asked.read if last else None,
        )


def _key_heads(attention: Any) -> int:
    return int(attention.k_proj.out_features) // int(attention.head_dim)


def _prefix(cache: LayerCache, layer: int, there: Seats, attention: Any) -> tuple[Tensor, Tensor]:
    """Keys and values of the earlier tokens, ``[sequences, key heads, prefix, head]`` each."""
    stored = cache.stored(layer)
    if stored is None:  # no sequence has anything before the subject
        shape = (there.number, _key_heads(attention), 0, attention.head_dim)
        none: Tensor = attention.q_proj.weight.new_empty(shape)
        return none, none
    keys, values = (there.spread(packed[0].transpose(0, 1)).transpose(1, 2) for packed in stored)
    return keys, values
