"""What the bridge knows of EasyEdit's methods: how each is called, and which it does not carry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from editsuite.editors.easyedit.recipe import Recipe
from editsuite.errors import OptionError, listing

#: EasyEdit's own for LLaMA (``hparams/ROME/llama-7b.yaml``), for installs that bring no files.
_SEARCH: Mapping[str, object] = {
    "fact_token": "subject_last",
    "v_num_grad_steps": 25,
    "v_lr": 0.5,
    "v_weight_decay": 1e-3,
    "clamp_norm_factor": 4.0,
    "kl_factor": 0.0625,
}
_SPREAD = {**_SEARCH, "layer_selection": "all", "mom2_update_weight": 15000}
#: EasyEdit sets ``C = I`` for LLaMA; with it on, native and bridged edits are the same method.
_CONSTRAINED = {"mom2_adjustment": True}

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "rome",
            "ROME",
            "rome",
            "rome_main",
            "execute_rome",
            "ROMEHyperParams",
            "ROME",
            "rome",
            spans=False,
            batches=False,
            contexts="flat",
            covariance="asked",
            defaults=_SEARCH,
            fixed=_CONSTRAINED,
        ),
        Recipe(
            "r_rome",
            "r-ROME",
            "r_rome",
            "r_rome_main",
            "execute_r_rome",
            "R_ROMEHyperParams",
            "R-ROME",
            "rome",
            spans=False,
            batches=False,
            contexts="flat",
            covariance="asked",
            defaults=_SEARCH,
            fixed=_CONSTRAINED,
        ),
        Recipe(
            "memit",
            "MEMIT",
            "memit",
            "memit_main",
            "execute_memit",
            "MEMITHyperParams",
            "MEMIT",
            "memit",
            spans=True,
            batches=True,
            defaults=_SPREAD,
            fixed=_CONSTRAINED,
        ),
        Recipe(
            "emmet",
            "EMMET",
            "emmet",
            "emmet_main",
            "execute_emmet",
            "EMMETHyperParams",
            "EMMET",
            "rome",
            spans=False,
            batches=True,
            defaults=_SPREAD,
            fixed=_CONSTRAINED,
        ),
        Recipe(
            "pmet",
            "PMET",
            "pmet",
            "pmet_main",
            "execute_pmet",
            "PMETHyperParams",
            "PMET",
            "memit",
            spans=True,
            batches=True,
            spaced=True,
            own_paths=("mlp_module_tmp", "attn_module_tmp", "rewrite_module_tmps"),
            defaults=_SPREAD,
            fixed=_CONSTRAINED,
        ),
        Recipe(
            "alphaedit",
            "AlphaEdit",
            "alphaedit",
            "AlphaEdit_main",
            "execute_AlphaEdit",
            "AlphaEditHyperParams",
            "AlphaEdit",
            "memit",
            spans=True,
            batches=True,
            remembers=True,
            defaults=_SPREAD,
            fixed=_CONSTRAINED,
        ),
        Recipe(
            "ft_l",
            "FT-L",
            "ft",
            "ft_main",
            "execute_ft",
            "FTHyperParams",
            "FT",
            "ft_l",
            spans=False,
            batches=True,
            templated=False,
            weights=True,
            contexts="none",
            covariance="never",
            # hparams/FT/gpt2-xl.yaml; the objective is that of FT-L.
            defaults={
                "lr": 5e-4,
                "num_steps": 25,
                "weight_decay": 0,
                "kl_factor": 0,
                "norm_constraint": 5e-4,
                "batch_size": 1,
            },
            fixed={"objective_optimization": "prompt_last", "norm_constraint": 5e-4},
        ),
    )
}

_ADAPTER = "it changes no parameter but hangs a module of its own into the model"
_TRAINED = "it needs a hypernetwork or classifier that has to be trained first"
#: Methods that EasyEdit has and the bridge does not carry, with the reason.
REFUSED: Mapping[str, str] = {
    "grace": _ADAPTER,
    "wise": _ADAPTER,
    "melo": _ADAPTER,
    "lora": _ADAPTER,
    "qlora": _ADAPTER,
    "defer": _TRAINED,
    "mend": _TRAINED,
    "malmen": _TRAINED,
    "serac": _TRAINED,
    "ike": "it edits prompts, not the model",
    "dola": "it changes how the model decodes, not the model",
    "deco": "it changes how the model decodes, not the model",
    "kn": "it looks for neurons with a procedure of its own and scales them in a loop of its own",
    "ft_api": "it trains a model behind a paid interface",
    "deepedit_api": "it edits a model behind a paid interface",
    "ultraedit": "it keeps running statistics in an object that cannot be journaled edit by edit",
    "simie": "it wraps another method and keeps its state in the hyperparameters",
}


def recipe_of(name: str) -> Recipe:
    """The recipe of a method.

    Raises:
        OptionError: the bridge does not carry it; the message says why, where that is known.
    """
    if name in RECIPES:
        return RECIPES[name]
    why = f": {REFUSED[name]}" if name in REFUSED else ""
    raise OptionError(
        f"the EasyEdit bridge does not carry {name!r}{why}; it carries {listing(RECIPES)}"
    )


def check_recipe(recipe: Recipe, root: Path) -> None:
    """See that this EasyEdit has the method.

    Raises:
        OptionError: it has not; the message lists what it has.
    """
    if not recipe.place(root).is_file():
        there = [r.name for r in RECIPES.values() if r.place(root).is_file()]
        raise OptionError(
            f"the EasyEdit in {root} has no {recipe.name} (models/{recipe.package}); of those "
            f"that the bridge carries it has {listing(there)}; EASYEDIT_HOME names another"
        )
