"""EasyEdit's ROME as an independent reference: its own code, but for one fixed device.

It wants ``pip install --no-deps easyeditor==0.0.1.dev0`` and ``pip install datasets matplotlib``
(imported by its ROME modules, not called here). Its modules are loaded as the bridge loads them
(``editsuite.editors.easyedit.loading``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from io import StringIO
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from editsuite.editors.easyedit.loading import Modules
from editsuite.editors.easyedit.recipes import check_recipe, recipe_of
from editsuite.editors.easyedit.tree import find_tree
from editsuite.errors import EditError, OptionError, listing

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
    try:
        check_recipe(recipe_of("rome"), find_tree({}).root)
    except OptionError as error:
        return str(error)
    for name in ("datasets", "matplotlib"):
        if find_spec(name) is None:
            return f"EasyEdit's ROME needs {name}: pip install {name}"
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
    request = _request(prompt, subject, target_new, contexts)
    names = _module_names(model, layer)
    name = names["rewrite_module_tmp"].format(layer)
    weight = model.get_submodule(name).get_parameter("weight")
    settings = _settings(hparams) | names | {"layers": [layer], "device": weight.device}
    settings["mom2_adjustment"] = covariance is not None
    rome, compute_u = _modules()
    inverses = {} if covariance is None else _inverse(model, name, weight, covariance)
    with ExitStack() as stack:
        stack.enter_context(_unchanged(model, weight, name))
        stack.enter_context(_right_padded(tokenizer))
        templates = [prefix + "{}" for prefix in contexts]
        stack.enter_context(patch.object(rome, "CONTEXT_TEMPLATES_CACHE", templates))
        stack.enter_context(patch.object(compute_u, "inv_mom2_cache", inverses))
        stack.enter_context(redirect_stdout(StringIO()))
        start = time.perf_counter()
        deltas = rome.execute_rome(model, tokenizer, request, rome.ROMEHyperParams(**settings))
        seconds = time.perf_counter() - start
    ((left, right),) = deltas.values()
    return ReferenceUpdate(left.detach(), right.detach(), seconds)


def _request(prompt: str, subject: str, target_new: str, contexts: Sequence[str]) -> dict[str, str]:
    template = prompt if "{}" in prompt else prompt.replace(subject, "{}") if subject else prompt
    if template.count("{}") != 1:
        raise EditError(f"prompt {prompt!r} must hold subject {subject!r} once: reword it")
    if any(
        brace in text for text in (*template.split("{}"), target_new, *contexts) for brace in "{}"
    ):
        raise EditError(
            f"prompt {prompt!r}, its target or contexts hold braces, which EasyEdit formats"
        )
    if not target_new.strip() or not contexts or contexts[0]:
        raise EditError("give a target_new that is not blank and contexts that begin with ''")
    return {"prompt": template, "subject": subject, "target_new": target_new.removeprefix(" ")}


def _settings(hparams: Mapping[str, object]) -> dict[str, Any]:
    if set(hparams) != set(_SETTINGS.split()):
        raise EditError(f"hparams has {listing(hparams)}: give exactly {_SETTINGS}")
    return dict.fromkeys(_UNREAD.split()) | dict(hparams) | {"fact_token": "subject_last"}


def _module_names(model: PreTrainedModel, layer: int) -> dict[str, str]:
    """Find the blocks by their count and the output projection as the MLP's last matrix."""
    depth = model.config.num_hidden_layers
    stacks = {
        name: blocks
        for name, blocks in model.named_modules()
        if isinstance(blocks, nn.ModuleList) and len(blocks) == depth
    }
    if len(stacks) != 1:
        raise EditError(f"{depth} blocks found in {listing(stacks)}: use a plain decoder model")
    if not 0 <= layer < depth:
        raise EditError(f"layer {layer} is outside the model: give 0 to {depth - 1}")
    ((stack, blocks),) = stacks.items()
    matrices = [
        name
        for name, module in blocks[layer].named_modules()
        if name.startswith("mlp.") and getattr(getattr(module, "weight", None), "ndim", 0) == 2
    ]
    if not matrices:
        raise EditError(f"{stack}.{layer} has no mlp with a matrix: use a dense transformer")
    block = f"{stack}.{{}}"
    rewrite = f"{block}.{matrices[-1]}"
    return {
        "layer_module_tmp": block,
        "mlp_module_tmp": f"{block}.mlp",
        "rewrite_module_tmp": rewrite,
    }


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


@contextmanager
def _unchanged(model: PreTrainedModel, weight: nn.Parameter, name: str) -> Iterator[None]:
    """Give requires_grad back, and raise unless the weights are the same bits afterwards.

    EasyEdit edits the one matrix and restores it, so that one is compared; every other
    parameter must not have been written in place, which its version counter tells.
    """
    others = [p for p in model.parameters() if p is not weight]
    versions = [p._version for p in others]
    grads = [(p, p.requires_grad) for p in model.parameters()]
    before = weight.detach().clone()
    try:
        yield
    finally:
        for parameter, flag in grads:
            parameter.requires_grad_(flag)
        same = torch.equal(before.view(torch.uint8), weight.detach().view(torch.uint8))
        with torch.no_grad():
            weight.copy_(before)
        if not same or versions != [p._version for p in others]:
            raise EditError(f"EasyEdit left {name} or another weight changed: load the model again")


@contextmanager
def _right_padded(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """EasyEdit counts target and subject positions from the left edge of each row."""
    side, pad = tokenizer.padding_side, tokenizer.pad_token
    if pad is None and tokenizer.eos_token is None:
        raise EditError("the tokenizer has neither pad nor eos token: set tokenizer.pad_token")
    try:
        tokenizer.padding_side = "right"
        if pad is None:
            tokenizer.pad_token = tokenizer.eos_token
        yield
    finally:
        tokenizer.padding_side, tokenizer.pad_token = side, pad


@cache
def _modules() -> tuple[ModuleType, ModuleType]:
    """rome_main and compute_u of the installed release, loaded as the bridge loads them."""
    modules = Modules(find_tree({}).root)
    rome = modules.module("models.rome.rome_main")
    return rome, modules.module("models.rome.compute_u")
