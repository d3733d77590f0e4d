"""Where a fact is looked up: the subject's last token, in every context prefix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from editsuite.engine import DecoderStack, PaddedBatch, at_least_float32, causal_mask, pad
from editsuite.errors import EditError
from editsuite.facts import EditRequest, TokenizedTarget, subject_last_token, target_tokens


@dataclass(frozen=True)
class LookupRow:
    """One prompt as the optimisation sees it.

    Attributes:
        ids: context and all target tokens but the last.
        lookup: index of the subject's last token.
        context: number of tokens before the first target token.
        target: the target's token ids; empty for the row that only holds the subject's essence.
    """

    ids: tuple[int, ...]
    lookup: int
    context: int
    target: tuple[int, ...]


@dataclass(frozen=True)
class LookupStates:
    """What the unchanged lower part of the model gives for a set of rows.

    Attributes:
        rows: the rows; the last one is the essence row (``"{subject} is a"``).
        batch: the rows, padded on the right.
        hidden: ``[rows, width, hidden]`` states leaving the edited layer.
        keys: ``[rows, d_ff]`` inputs of the down projection at the lookup positions.
        values: ``[rows, hidden]`` outputs of the MLP at the lookup positions.
    """

    rows: tuple[LookupRow, ...]
    batch: PaddedBatch
    hidden: Tensor
    keys: Tensor
    values: Tensor

    @property
    def outputs(self) -> Tensor:
        """``[rows, hidden]`` float32 states leaving the layer at the lookup positions."""
        lookups = [row.lookup for row in self.rows]
        return self.hidden[torch.arange(len(self.rows)), lookups].float()


def lookup_rows(
    stack: DecoderStack, request: EditRequest, prefixes: Sequence[str]
) -> tuple[LookupRow, ...]:
    """The request in every context prefix, then the essence row.

    The prompt of the essence row is the reference's ``"{} is a"``; the KL term keeps what the
    model says right after the subject there.
    """
    tokenizer = stack.loaded.tokenizer
    rows = []
    for prefix in prefixes:
        prompt = prefix + request.prompt
        tokens = target_tokens(tokenizer, prompt, request.target_new)
        lookup = subject_last_token(tokenizer, prompt, request.subject)
        if lookup >= len(tokens.context_ids):
            raise EditError(
                f"fact {request.id}: the tokenizer merges the end of the subject "
                f"{request.subject!r} with the target; put a word or a mark between the two"
            )
        context, target = tokens.context_ids, tokens.target_ids
        rows.append(LookupRow(context + target[:-1], lookup, len(context), target))
    essence = f"{request.subject} is a"
    ids = tuple(tokenizer(essence)["input_ids"])
    lookup = subject_last_token(tokenizer, essence, request.subject)
    rows.append(LookupRow(ids, lookup, len(ids), ()))
    check_length(stack, request, max(len(row.ids) for row in rows))
    return tuple(rows)


def check_length(stack: DecoderStack, request: EditRequest, tokens: int) -> None:
    """See that the model reads so many tokens.

    Raises:
        EditError: it does not.
    """
    limit = stack.loaded.card.context_length
    if tokens > limit:
        raise EditError(
            f"fact {request.id}: prompt and target, with what is set before them, are {tokens} "
            f"tokens long, the model reads {limit}; shorten the prompt"
        )


def bare_rows(stack: DecoderStack, requests: Sequence[EditRequest]) -> list[TokenizedTarget]:
    """Prompts without a prefix, and their targets, as tokens.

    Raises:
        EditError: one is longer than the model reads.
    """
    rows = [target_tokens(stack.loaded.tokenizer, r.prompt, r.target_new) for r in requests]
    for request, row in zip(requests, rows, strict=True):
        check_length(stack, request, len(row.ids))
    return rows


@torch.no_grad()
def lookup_states(stack: DecoderStack, rows: tuple[LookupRow, ...], layer: int) -> LookupStates:
    """Run layers 0 to ``layer`` once and read key and value at the lookup positions."""
    batch = pad([row.ids for row in rows], stack.device, left=False)
    family, block = stack.loaded.family, stack.layers[layer]
    with (
        caught(block.get_submodule(family.down_proj), inputs=True) as keys,
        caught(block.get_submodule(family.mlp)) as values,
    ):
        hidden = run_through(stack, batch, layer)
    index = torch.arange(len(rows), device=stack.device)
    lookups = torch.tensor([row.lookup for row in rows], device=stack.device)
    key, value = (at_least_float32(tensors[0][index, lookups]) for tensors in (keys, values))
    return LookupStates(rows, batch, hidden, key, value)


def run_through(stack: DecoderStack, batch: PaddedBatch, layer: int) -> Tensor:
    """Run layers 0 to ``layer``, both included; the states leaving it."""
    return stack.run(
        stack.embed(batch.ids, batch.positions),
        start=0,
        stop=layer + 1,
        positions=batch.positions,
        mask=causal_mask(batch.real),
    )


@contextmanager
def caught(module: nn.Module, *, inputs: bool = False) -> Iterator[list[Tensor]]:
    """Within, what a module puts out (or takes in) is kept, a tensor for each pass."""
    kept: list[Tensor] = []
    if inputs:
        handle = module.register_forward_pre_hook(lambda _, taken: kept.append(taken[0]))
    else:
        handle = module.register_forward_hook(lambda _, __, output: kept.append(output))
    try:
        yield kept
    finally:
        handle.remove()
