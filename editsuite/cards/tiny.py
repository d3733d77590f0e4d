"""Tiny random models of every supported architecture, made on the fly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from editsuite.cards.digests import state_digest
from editsuite.cards.families import FAMILIES
from editsuite.cards.loading import LoadedModel
from editsuite.cards.resolve import derive_card
from editsuite.errors import CardError, listing

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

#: Special tokens, after the 256 bytes: end of text, padding, unknown.
SPECIAL_TOKENS = ("<|endoftext|>", "<|pad|>", "<|unk|>")


def tiny_model(
    architecture: str,
    seed: int = 0,
    *,
    n_layers: int = 4,
    hidden_size: int = 32,
    n_heads: int = 4,
    vocab_size: int = 300,
    context_length: int = 256,
    initializer_range: float = 0.1,
) -> LoadedModel:
    """Make a tiny random model, the same for the same arguments in any process.

    The global random state is neither read nor changed. LLaMA-like models have half as many
    key-value heads as heads, so that grouped-query attention is exercised.

    Args:
        architecture: Key of ``FAMILIES``.
        seed: Chooses the weights.
        n_layers: Number of layers.
        hidden_size: Width of the residual stream; four times that within feed-forward blocks.
        n_heads: Number of attention heads; even, and dividing ``hidden_size``.
        vocab_size: Rows of the embedding, at least 259 for the byte-level tokenizer.
        context_length: Number of positions.
        initializer_range: Standard deviation of the weights; larger than usual, so that the
            outputs depend visibly on the input.

    Returns:
        The model in float32 on the CPU, in eval mode and without gradients.

    Raises:
        CardError: If the architecture is unknown or the vocabulary too small.
    """
    from transformers import AutoModelForCausalLM

    if architecture not in FAMILIES:
        raise CardError(f"architecture {architecture!r} is unknown; use one of {listing(FAMILIES)}")
    if vocab_size < 256 + len(SPECIAL_TOKENS):
        raise CardError(f"vocab_size {vocab_size} is too small for the byte-level tokenizer: 259")
    config = _config(
        architecture,
        n_layers=n_layers,
        hidden_size=hidden_size,
        n_heads=n_heads,
        vocab_size=vocab_size,
        context_length=context_length,
        initializer_range=initializer_range,
    )
    maker: Any = AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = maker.from_config(config, dtype=torch.float32)
    model.eval()
    model.requires_grad_(False)
    tokenizer = byte_tokenizer(context_length)
    return LoadedModel(
        card=derive_card(config, name=f"tiny-{architecture}-{seed}", source=f"tiny:{architecture}"),
        family=FAMILIES[architecture],
        model=model,
        tokenizer=tokenizer,
        digest=state_digest(model.state_dict().items(), extra=f"{architecture} byte-level"),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def byte_tokenizer(context_length: int = 256) -> PreTrainedTokenizerBase:
    """Make a tokenizer of the 256 bytes in GPT-2's alphabet and three special tokens.

    Args:
        context_length: Its ``model_max_length``.

    Returns:
        A fast tokenizer, round trip exact on any text, that adds no special token by itself.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate(alphabet)}
    backend: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    # Added here, in order, so that their numbers are the ones the configuration states.
    backend.add_special_tokens(list(SPECIAL_TOKENS))
    end, pad, unknown = SPECIAL_TOKENS
    maker: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerBase = maker(
        tokenizer_object=backend,
        bos_token=end,
        eos_token=end,
        pad_token=pad,
        unk_token=unknown,
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
    )
    return tokenizer


def _config(
    architecture: str,
    *,
    n_layers: int,
    hidden_size: int,
    n_heads: int,
    vocab_size: int,
    context_length: int,
    initializer_range: float,
) -> PretrainedConfig:
    from transformers import CONFIG_MAPPING

    end, pad = 256, 257
    settings: dict[str, Any] = {
        "vocab_size": vocab_size,
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": pad,
        "initializer_range": initializer_range,
        # One set of names for all: configurations of the GPT kind translate them.
        "num_hidden_layers": n_layers,
        "hidden_size": hidden_size,
        "num_attention_heads": n_heads,
        "max_position_embeddings": context_length,
    }
    settings |= _feed_forward_and_heads(architecture, hidden_size, n_heads)
    make: Callable[..., PretrainedConfig] = CONFIG_MAPPING[architecture]
    return make(**settings)


def _feed_forward_and_heads(architecture: str, hidden_size: int, n_heads: int) -> dict[str, Any]:
    width, head = 4 * hidden_size, hidden_size // n_heads
    if architecture == "gpt2":
        return {"n_inner": width}
    if architecture == "gptj":
        return {"n_inner": width, "rotary_dim": head // 2}
    if architecture == "gpt_neox":
        return {"intermediate_size": width}
    grouped = {"num_key_value_heads": max(1, n_heads // 2), "head_dim": head}
    window = {"sliding_window": None} if architecture == "mistral" else {}
    return {"intermediate_size": width, "tie_word_embeddings": False, **grouped, **window}
