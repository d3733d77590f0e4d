"""How far apart the keys of unrelated prompts lie: the unit of a radius that fits any model.

A threshold means nothing by itself: the inputs of a down projection differ in size between
models and between layers. The median distance between the keys of unrelated prompts is what a
radius can be told in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from editsuite.editors.lookup import LookupRow, check_length, lookup_states
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest, load_facts, target_tokens

#: Built-in facts whose prompts are compared, each with each: 2016 pairs.
PROMPTS = 64


def query_row(stack: DecoderStack, request: EditRequest) -> LookupRow:
    """A request as it is asked: the lookup is the last token before the target.

    Raises:
        FactError: the target has no tokens.
        EditError: the model does not read so many tokens.
    """
    tokens = target_tokens(stack.loaded.tokenizer, request.prompt, request.target_new)
    context, target = tokens.context_ids, tokens.target_ids
    row = LookupRow(context + target[:-1], len(context) - 1, len(context), target)
    check_length(stack, request, len(row.ids))
    return row


def query_keys(stack: DecoderStack, requests: tuple[EditRequest, ...], layer: int) -> Tensor:
    """The unedited model's keys of some requests' prompts, ``[requests, d_in]`` float32."""
    rows = tuple(query_row(stack, request) for request in requests)
    with stack.adapted(None):
        return lookup_states(stack, rows, layer).keys


def key_distance(stack: DecoderStack, layer: int) -> float:
    """Median Euclidean distance between the keys of ``PROMPTS`` built-in prompts, in the order of
    seed 0.

    Rounded to three digits: the last bits of a key depend on the machine, a radius should not.
    """
    requests = load_facts("builtin").order(0)[:PROMPTS]
    keys = query_keys(stack, requests, layer).cpu().double()
    return float(f"{float(torch.pdist(keys).median()):.3g}")
