"""EasyEdit's ROME as an independent reference: its own code, but for one fixed device.

It wants ``pip install --no-deps easyeditor==0.0.1.dev0`` and ``pip install datasets matplotlib``
(imported by its ROME modules, not called here).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from io import StringIO
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.easyedit_code import (
    installed_root,
    load_modules,
    module_names,
    request_of,
    unchanged,
)
from editsuite.editors.easyedit.guard import right_padded
from editsuite.errors import EditError, listing

_SETTINGS = "v_num_grad_steps v_lr v_loss_layer v_weight_decay clamp_norm_factor kl_factor"
# EasyEdit's settings class demands these too; with its caches filled nothing reads them.
_UNREAD = """attn_module_tmp ln_f_module lm_head_module mom2_dataset mom2_n_samples mom2_dtype
context_template_length_params alg_name model_name stats_dir"""


@dataclass(frozen=True)
class ReferenceUpdate:
    """EasyEdit's rank-one update: ``outer(right, left)`` is added to a Linear's weight.

    Attributes:
        left: u / |u|, shape [d_ff]; u is the mean key, times the inverse covariance if given.
        right: (v* - W k) / <k, left>, shape [d_model], k being the bare prompt's key.
        seconds: wall time of EasyEdit's ``execute_rome`` alone.
    """

    left: Tensor
    right: Tensor
    seconds: float


def available() -> str | None:
    """Say why the reference cannot run here, or None when it can; nothing is imported."""
    for name, pin in (("easyeditor", "==0.0.1.dev0"), ("datasets", ""), ("matplotlib", "")):
        if find_spec(name) is None:
            flag = "--no-deps " if pin else ""
            return f"EasyEdit's ROME needs {name}: pip install {flag}{name}{pin}"
    if not (installed_root() / "models/rome/rome_main.py").is_file():
        return f"no models/rome in {installed_root()}: pip install --no-deps easyeditor==0.0.1.dev0"
    return None


def reference_rome(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    prompt: str,
    subject: str,
    target_new: str,
    layer: int,
    contexts: Sequence[str],
    hparams: Mapping[str, object],
    covariance: Tensor | None = None,
) -> ReferenceUpdate:
    """Compute one ROME update with EasyEdit's code; the model is left as it was.

    Args:
        model: a causal model in eval mode, all of it on one device.
        tokenizer: its tokenizer; right padding and a pad token are set for the call only.
        prompt: a text with the subject, or ``{}`` in its place, exactly once.
        subject: the key is read at its last token.
        target_new: the new object; EasyEdit sets one space before it.
        layer: index of the block whose last MLP projection is edited.
        contexts: texts set before the prompt as they stand; the first is the empty string.
        hparams: v_num_grad_steps (forward passes; the last one takes no step), v_lr,
            v_loss_layer, v_weight_decay, clamp_norm_factor, kl_factor.
        covariance: second moment of the keys, [d_ff, d_ff], best float64. None is EasyEdit's
            ``mom2_adjustment: false``, its setting for LLaMA.

    Raises:
        EditError: the reference is not installed, an argument does not fit, or the weights
            were not the same bits afterwards.
    """
    if reason := available():
        raise EditError(reason)
    if model.training:
        raise EditError("the model is in training mode, dropout would be on: call model.eval()")
    request = request_of(prompt, subject, target_new, contexts)
    names = module_names(model, layer)
    name = names["rewrite_module_tmp"].format(layer)
    weight = model.get_submodule(name).get_parameter("weight")
    settings = _settings(hparams) | names | {"layers": [layer], "device": weight.device}
    settings["mom2_adjustment"] = covariance is not None
    rome, compute_u = _modules()
    inverses = {} if covariance is None else _inverse(model, name, weight, covariance)
    with ExitStack() as stack:
        stack.enter_context(unchanged(model, [weight], name))
        stack.enter_context(right_padded(tokenizer))
        templates = [prefix + "{}" for prefix in contexts]
        stack.enter_context(patch.object(rome, "CONTEXT_TEMPLATES_CACHE", templates))
        stack.enter_context(patch.object(compute_u, "inv_mom2_cache", inverses))
        stack.enter_context(redirect_stdout(StringIO()))
        start = time.perf_counter()
        deltas = rome.execute_rome(model, tokenizer, request, rome.ROMEHyperParams(**settings))
        seconds = time.perf_counter() - start
    ((left, right),) = deltas.values()
    return ReferenceUpdate(left.detach(), right.detach(), seconds)


def _settings(hparams: Mapping[str, object]) -> dict[str, Any]:
    if set(hparams) != set(_SETTINGS.split()):
        raise EditError(f"hparams has {listing(hparams)}: give exactly {_SETTINGS}")
    return dict.fromkeys(_UNREAD.split()) | dict(hparams) | {"fact_token": "subject_last"}


def _inverse(
    model: PreTrainedModel, name: str, weight: Tensor, covariance: Tensor
) -> dict[tuple[str, str], Tensor]:
    """Fill EasyEdit's cache as it would itself: inverted as given, then cast to float32."""
    width = weight.numel() // model.config.hidden_size
    if covariance.shape != (width, width):
        raise EditError(
            f"covariance for {name} is {tuple(covariance.shape)}: give [{width}, {width}]"
        )
    key = (model.config._name_or_path.replace("/", "_"), name)
    return {key: torch.inverse(covariance.to(weight.device)).float()}


@cache
def _modules() -> tuple[ModuleType, ModuleType]:
    """EasyEdit's rome_main and compute_u."""
    rome, compute_u = load_modules("models.rome", ("rome_main", "compute_u"))
    return rome, compute_u
