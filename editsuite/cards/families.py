"""What differs between the supported architectures: module paths, and nothing else.

A family is looked up by ``config.model_type``, the only mark that a checkpoint carries of its
own accord. Names of folders and of hub repositories say nothing reliable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Where the modules of one architecture lie.

    Attributes:
        architecture: The key of ``FAMILIES``, equal to ``config.model_type``.
        layers: Dotted path from the model to the ``ModuleList`` of its layers.
        mlp: Path of the feed-forward block, relative to a layer.
        down_proj: Path of the last linear map of that block, relative to a layer: the matrix
            that ROME calls ``W_proj`` (paper A.2).
        projections: Paths of all linear maps of that block, relative to a layer, in the order of
            the data; ``down_proj`` is the last.
        attention: Path of the attention block, relative to a layer.
        final_norm: Dotted path from the model to the norm before the output head.
        embedding: Dotted path from the model to the token embedding.
        transposed: True where the weights of ``projections`` are stored ``[in, out]``, as in the
            ``Conv1D`` of GPT-2, and not ``[out, in]`` as in ``torch.nn.Linear``.
    """

    architecture: str
    layers: str
    mlp: str
    down_proj: str
    projections: tuple[str, ...]
    attention: str
    final_norm: str
    embedding: str
    transposed: bool


def _llama_like(architecture: str) -> Family:
    return Family(
        architecture=architecture,
        layers="model.layers",
        mlp="mlp",
        down_proj="mlp.down_proj",
        projections=("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
        attention="self_attn",
        final_norm="model.norm",
        embedding="model.embed_tokens",
        transposed=False,
    )


def _gpt2_like(architecture: str, up_proj: str, down_proj: str, *, transposed: bool) -> Family:
    return Family(
        architecture=architecture,
        layers="transformer.h",
        mlp="mlp",
        down_proj=down_proj,
        projections=(up_proj, down_proj),
        attention="attn",
        final_norm="transformer.ln_f",
        embedding="transformer.wte",
        transposed=transposed,
    )


_GPT_NEOX = Family(
    architecture="gpt_neox",
    layers="gpt_neox.layers",
    mlp="mlp",
    down_proj="mlp.dense_4h_to_h",
    projections=("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
    attention="attention",
    final_norm="gpt_neox.final_layer_norm",
    embedding="gpt_neox.embed_in",
    transposed=False,
)

FAMILIES: Mapping[str, Family] = {
    family.architecture: family
    for family in (
        _llama_like("llama"),
        _llama_like("mistral"),
        _llama_like("qwen2"),
        _llama_like("qwen3"),
        _gpt2_like("gpt2", "mlp.c_fc", "mlp.c_proj", transposed=True),
        _gpt2_like("gptj", "mlp.fc_in", "mlp.fc_out", transposed=False),
        _GPT_NEOX,
    )
}
