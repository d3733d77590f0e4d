"""Tiny models of each architecture, and the cards derived from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.cards import FAMILIES, load_model, resolve_card
from editsuite.cards.tiny import byte_tokenizer, tiny_model
from editsuite.errors import CardError

_ALL = sorted(FAMILIES)


@pytest.mark.parametrize("architecture", _ALL)
def test_every_path_of_the_family_leads_somewhere(architecture: str) -> None:
    tiny = tiny_model(architecture)
    family = tiny.family
    assert isinstance(tiny.module(family.layers), torch.nn.ModuleList)
    assert len(list(tiny.module(family.layers).children())) == tiny.card.n_layers
    assert tiny.module(family.embedding) is tiny.model.get_input_embeddings()
    assert tuple(tiny.module(family.final_norm).get_parameter("weight").shape) == (32,)
    for layer in range(tiny.card.n_layers):
        block = tiny.layer(layer)
        assert block.get_submodule(family.mlp) is tiny.mlp(layer)
        assert block.get_submodule(family.down_proj) is tiny.down_proj(layer)
        assert list(block.get_submodule(family.attention).parameters())
        shape = tuple(tiny.down_proj_weight(layer).shape)
        assert shape == ((128, 32) if family.transposed else (32, 128))
        assert tiny.down_proj_name(layer) in dict(tiny.model.named_parameters())


@pytest.mark.parametrize("architecture", _ALL)
def test_the_down_projection_maps_inner_width_to_hidden_width(architecture: str) -> None:
    """What the module computes fits the weight as the family says it is stored."""
    tiny = tiny_model(architecture)
    key = torch.randn(3, 128, generator=torch.Generator().manual_seed(0))
    weight = tiny.down_proj_weight(2)
    matrix = weight if tiny.family.transposed else weight.T
    bias = getattr(tiny.down_proj(2), "bias", None)
    expected = key @ matrix + (0 if bias is None else bias)
    torch.testing.assert_close(tiny.down_proj(2)(key), expected)


@pytest.mark.parametrize("architecture", _ALL)
def test_the_mlp_ends_with_the_down_projection(architecture: str) -> None:
    """Nothing but dropout, which is off, comes after it within the feed-forward block."""
    tiny = tiny_model(architecture)
    seen: list[tuple[str, torch.Tensor]] = []
    hooks = [
        tiny.mlp(1).register_forward_hook(lambda *args: seen.append(("mlp", args[-1]))),
        tiny.down_proj(1).register_forward_hook(lambda *args: seen.append(("down", args[-1]))),
    ]
    tiny.model(torch.tensor([[5, 6, 7]]))
    for hook in hooks:
        hook.remove()
    results = dict(seen)
    assert torch.equal(results["mlp"], results["down"])


@pytest.mark.parametrize("architecture", _ALL)
def test_a_saved_model_gives_the_same_card_weights_and_text(
    architecture: str, tmp_path: Path
) -> None:
    tiny = tiny_model(architecture, seed=3)
    folder = tmp_path / "Some Model"
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    card = resolve_card(str(folder))
    assert card.name == "some--model"
    assert card.source == str(folder)
    assert card.revision is None
    for field in ("architecture", "n_layers", "hidden_size", "vocab_size", "parameters", "layers"):
        assert getattr(card, field) == getattr(tiny.card, field), field
    loaded = load_model(card, device="cpu", cache=tmp_path / "cache")
    assert loaded.dtype is torch.float32
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    text = "Zürich, naïve"
    tokens = loaded.tokenizer(text, return_tensors="pt")
    assert loaded.tokenizer.decode(tokens["input_ids"][0]) == text
    with torch.no_grad():
        assert torch.equal(loaded.model(**tokens).logits, tiny.model(**tokens).logits)


@pytest.mark.parametrize("architecture", _ALL)
def test_the_parameter_count_is_the_real_one(architecture: str) -> None:
    tiny = tiny_model(architecture)
    assert tiny.card.parameters == sum(weight.numel() for weight in tiny.model.parameters())


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_the_seed_and_nothing_else_chooses_the_weights(architecture: str) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = tiny_model(architecture, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert tiny_model(architecture, seed=5).digest == first.digest
    assert tiny_model(architecture, seed=6).digest != first.digest


def test_llama_has_grouped_query_attention_and_mistral_no_window() -> None:
    config = tiny_model("llama").model.config
    assert config.num_key_value_heads < config.num_attention_heads
    assert tiny_model("mistral").model.config.sliding_window is None


@pytest.mark.parametrize("architecture", _ALL)
def test_special_tokens_of_model_and_tokenizer_agree(architecture: str) -> None:
    tiny = tiny_model(architecture)
    assert tiny.tokenizer.eos_token_id == tiny.model.config.eos_token_id
    assert tiny.tokenizer.pad_token_id == tiny.model.config.pad_token_id
    assert len(tiny.tokenizer) <= tiny.card.vocab_size


_TOKENIZER = byte_tokenizer()


@settings(deadline=None)
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_the_byte_tokenizer_is_exact_on_any_text(text: str) -> None:
    numbers = _TOKENIZER(text)["input_ids"]
    special = any(token in text for token in ("<|endoftext|>", "<|pad|>", "<|unk|>"))
    assert special or len(numbers) == len(text.encode())
    assert _TOKENIZER.decode(numbers) == text


def test_a_layer_outside_the_model_is_refused() -> None:
    tiny = tiny_model("llama")
    for layer in (-1, 4):
        with pytest.raises(CardError, match=rf"no layer {layer}; its 4 layers count from 0 to 3"):
            tiny.down_proj_name(layer)
    with pytest.raises(CardError, match=r"no module 'model\.nowhere'"):
        tiny.module("model.nowhere")


def test_an_unknown_tiny_architecture_lists_the_known_ones() -> None:
    with pytest.raises(CardError, match="gpt2, gpt_neox, gptj, llama"):
        tiny_model("rwkv")
    with pytest.raises(CardError, match="too small"):
        tiny_model("llama", vocab_size=100)
