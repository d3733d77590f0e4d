"""The references' own hyperparameters, for models that no card was written for."""

from __future__ import annotations

from collections.abc import Mapping

#: Architectures whose reference settings are those of GPT-2 XL (kmeng01/rome, hparams/ROME).
_GPT_LIKE = frozenset({"gpt2", "gptj", "gpt_neox"})


def reference_settings(architecture: str) -> dict[str, Mapping[str, object]]:
    """By card key, what the references set for an architecture.

    A method that is not named here keeps its own defaults.
    """
    return {
        "rome": reference_rome_settings(architecture),
        "memit": reference_memit_settings(architecture),
        "alphaedit": reference_alphaedit_settings(architecture),
        "grace": reference_grace_settings(architecture),
        "ft_l": reference_ft_l_settings(),
    }


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


def reference_memit_settings(architecture: str) -> dict[str, object]:
    """Return the reference's MEMIT settings for an architecture.

    LLaMA-like models follow EasyEdit's ``hparams/MEMIT/llama-7b.yaml``, GPT-like ones
    ``hparams/MEMIT/gpt2-xl.json`` of kmeng01/memit. The weight was chosen for models of billions
    of parameters; a small model wants far less (see ``docs/methods/memit.md``).
    """
    gpt_like = architecture in _GPT_LIKE
    return {
        **reference_rome_settings(architecture),
        "clamp_norm_factor": 0.75 if gpt_like else 4.0,
        "mom2_update_weight": 20_000 if gpt_like else 15_000,
    }


def reference_alphaedit_settings(architecture: str) -> dict[str, object]:
    """Return the reference's AlphaEdit settings for an architecture.

    LLaMA-like models follow EasyEdit's ``hparams/AlphaEdit/llama3.1-8b.yaml``, GPT-like ones
    ``hparams/AlphaEdit/gpt2-xl.yaml``.
    """
    gpt_like = architecture in _GPT_LIKE
    return {
        "v_num_grad_steps": 20 if gpt_like else 25,
        "v_lr": 0.5 if gpt_like else 0.1,
        "v_weight_decay": 0.5,
        "clamp_norm_factor": 0.75,
        "kl_factor": 0.0625,
        "nullspace_threshold": 0.02,
        "L2": 10,
    }


def reference_grace_settings(architecture: str) -> dict[str, object]:
    """Return the reference's GRACE settings for an architecture.

    EasyEdit's ``hparams/GRACE``: ``llama-7b.yaml`` for LLaMA-like models, ``gpt2-xl.yaml`` and
    ``gpt-j-6b.yaml`` for GPT-like ones.
    """
    return {"eps": 1.0, "n_iter": 200 if architecture in _GPT_LIKE else 50, "edit_lr": 1.0}


def reference_ft_l_settings() -> dict[str, object]:
    """Return the reference's FT-L settings, the same for every architecture.

    EasyEdit's ``hparams/FT``: ``gpt2-xl.yaml``, and ``llama-7b.yaml`` but for its bound, which is
    off there.
    """
    return {"lr": 5e-4, "num_steps": 25, "norm_constraint": 5e-4}
