"""Attention of few queries over many keys, without a copy of the keys for each query head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

#: What transformers knows the attention below by.
NAME = "editsuite_grouped"


@contextmanager
def grouped(model: PreTrainedModel) -> Iterator[None]:
    """Within, layers attend by `attend` where they let a model choose its attention.

    transformers' own way repeats all keys and values for the query heads that share them as soon as
    there is more than one query. Models whose heads share nothing, or whose layers do not let
    choose (GPT-J), attend as ever.
    """
    config: Any = model.config
    before = config._attn_implementation
    shared = getattr(config, "num_key_value_heads", None)
    if before != "sdpa" or shared in (None, config.num_attention_heads):
        yield
        return
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention, as transformers asks for it.

    Args:
        module: the attention block; not looked at.
        query: ``[rows, heads, queries, head_dim]``.
        key: ``[rows, key heads, keys, head_dim]``, and ``value`` alike.
        value: see ``key``.
        attention_mask: ``[rows, 1, queries, keys]``, added to the scores.
        scaling: of the scores.

    Returns:
        ``[rows, queries, heads, head_dim]``; and no shares.
    """
    rows, heads, queries, width = query.shape
    shared = key.shape[1]
    # The queries of the heads that share a key head stand one behind another.
    together = query.reshape(rows, shared, heads // shared * queries, width)
    mask = attention_mask.repeat(1, 1, heads // shared, 1)
    out = nn.functional.scaled_dot_product_attention(
        together, key, value, attn_mask=mask, scale=scaling
    )
    return out.reshape(rows, heads, queries, width).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attend)
