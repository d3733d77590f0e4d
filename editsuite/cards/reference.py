"""What the references' own files set for an architecture, for a model that has no card."""

from __future__ import annotations

#: Architectures whose reference settings are those of GPT-2 XL (kmeng01/rome, hparams/ROME).
_GPT_LIKE = frozenset({"gpt2", "gptj", "gpt_neox"})


def reference_settings(architecture: str) -> dict[str, dict[str, object]]:
    """Return the references' hyperparameters for an architecture, by method."""
    return {
        "rome": reference_rome_settings(architecture),
        "memit": reference_memit_settings(architecture),
        "alphaedit": reference_alphaedit_settings(architecture),
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
