"""The hyperparameters of a bridged method: EasyEdit's file, the card, the user, in this order."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from editsuite.cards import LoadedModel
from editsuite.editors.easyedit.recipe import Recipe
from editsuite.editors.easyedit.tree import Tree
from editsuite.editors.hyperparameters import bounded, read_hyperparameters
from editsuite.errors import OptionError, listing

#: EasyEdit's file for an architecture, the first that is there; a file of the card's name wins.
FILES: Mapping[str, tuple[str, ...]] = {
    "llama": ("llama-7b", "llama3-8b"),
    "mistral": ("mistral-7b", "llama-7b"),
    "qwen2": ("qwen2-7b", "qwen2.5-7b"),
    "qwen3": ("qwen3.5-9b", "qwen2.5-7b"),
    "gpt2": ("gpt2-xl",),
    "gptj": ("gpt-j-6B",),
}
#: How EasyEdit's code tells architectures apart: by a part of the model's name.
NAMES: Mapping[str, str] = {
    "llama": "llama",
    "mistral": "mistral",
    "qwen2": "qwen",
    "qwen3": "qwen",
    "gpt2": "gpt2-xl",
    "gptj": "gpt-j-6b",
    "gpt_neox": "gpt-neox",
}
#: What YAML 1.1 takes for a text: ``5e-4``.
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


@dataclass(frozen=True)
class Ours:
    """What the suite itself gives to a bridged method, as it does to its own.

    Attributes:
        n_contexts: context prefixes, the empty one included.
        mom2_corpus: the text a covariance is computed from; see ``editsuite.editors.covariance``.
        mom2_n_tokens: tokens of that text at most.
    """

    n_contexts: int = bounded(6, least=1)
    mom2_corpus: str = "self"
    mom2_n_tokens: int = bounded(100_000, least=2)


@dataclass(frozen=True)
class Settings:
    """A bridged method's hyperparameters.

    Attributes:
        ours: what the suite gives.
        theirs: all fields of EasyEdit's own class but those that tell of this machine.
        chosen: the part of ``theirs`` that determines an edit and is no path in the model.
    """

    ours: Ours
    theirs: Mapping[str, Any]
    chosen: Mapping[str, object]


def read_settings(
    recipe: Recipe,
    kind: type,
    tree: Tree,
    loaded: LoadedModel,
    layers: Sequence[int],
    given: Mapping[str, object],
) -> Settings:
    """Put the hyperparameters together.

    Args:
        recipe: the method.
        kind: EasyEdit's hyperparameter class.
        tree: where its files are.
        loaded: the model.
        layers: where to edit.
        given: the card's and, over them, the user's.

    Raises:
        OptionError: a hyperparameter that neither side knows, or a file that cannot be read.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    paths = module_paths(loaded)
    if recipe.weights:
        paths["rewrite_module_tmp"] += ".weight"
    made = {**paths, "layers": list(layers), "v_loss_layer": loaded.n_layers - 1}
    own = {field.name for field in dataclasses.fields(Ours)}
    free = set(fields) - set(made) - {"device", "model_name", "alg_name", "stats_dir", "P_loc"}
    card = loaded.card.hyperparameters.get(recipe.card_key, {})
    # A card's entries are written for the suite's own method, which knows some that this lacks.
    unknown = {name for name in given if name not in free | own and card.get(name) != given[name]}
    if unknown:
        raise OptionError(
            f"{recipe.name} of EasyEdit has no hyperparameter {listing(unknown)}; it knows "
            f"{listing(free | own)}"
        )
    file = _file(recipe, tree, loaded)
    values = {**recipe.defaults, **file, **recipe.fixed, **given}
    chosen = {name: values[name] for name in sorted(free) if name in values}
    theirs: dict[str, Any] = {
        name: None
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    theirs |= chosen | {name: value for name, value in made.items() if name in fields}
    theirs |= {name: file[name] for name in recipe.own_paths if name in file and name in fields}
    theirs |= {"model_name": NAMES[loaded.card.architecture], "alg_name": recipe.folder}
    ours = {name: value for name, value in given.items() if name in own}
    return Settings(read_hyperparameters(Ours, ours, method=recipe.name), theirs, chosen)


def module_paths(loaded: LoadedModel) -> dict[str, str]:
    """EasyEdit's ``..._tmp`` and module hyperparameters, from the model's family."""
    family = loaded.family
    layer = f"{family.layers}.{{}}"
    model: Any = loaded.model
    head = model.get_output_embeddings().weight
    names = [name for name, held in loaded.model.named_parameters() if held is head]
    return {
        "layer_module_tmp": layer,
        "rewrite_module_tmp": f"{layer}.{family.down_proj}",
        "mlp_module_tmp": f"{layer}.{family.mlp}",
        "attn_module_tmp": f"{layer}.{family.attention}",
        "ln_f_module": family.final_norm,
        # A tied head has no parameter of its own name, and EasyEdit looks for one by name.
        "lm_head_module": names[0].removesuffix(".weight"),
    }


def _file(recipe: Recipe, tree: Tree, loaded: LoadedModel) -> dict[str, Any]:
    """EasyEdit's own hyperparameters for the model or its like; empty where it has none."""
    if tree.hparams is None:
        return {}
    names = (loaded.card.name, *FILES.get(loaded.card.architecture, ()))
    paths = [tree.hparams / recipe.folder / f"{name}.yaml" for name in names]
    path = next((path for path in paths if path.is_file()), None)
    return {} if path is None else _read(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {str(name): _number(value) for name, value in held.items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
        raise OptionError(
            f"EasyEdit's {path} cannot be read ({error}); restore it, or name another EasyEdit "
            "with EASYEDIT_HOME"
        ) from error


def _number(value: object) -> object:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return value
