"""EasyEdit's own modules as independent references, and what a call of them needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import nn
from transformers import PreTrainedModel

from editsuite.editors.easyedit.loading import Modules
from editsuite.editors.easyedit.tree import find_tree
from editsuite.errors import EditError, listing


def load_modules(package: str, names: Sequence[str], root: Path | None = None) -> list[ModuleType]:
    """Load modules of one of EasyEdit's packages, as the bridge loads them.

    Args:
        package: below ``easyeditor``, such as ``models.rome``.
        names: the modules wanted.
        root: the folder ``easyeditor``; that of the installed package where None.
    """
    modules = Modules(root or installed_root())
    return [modules.module(f"{package}.{name}") for name in names]


def installed_root() -> Path:
    """The installed package's folder; an OptionError where there is none."""
    return find_tree({}).root


def request_of(
    prompt: str, subject: str, target_new: str, contexts: Sequence[str]
) -> dict[str, str]:
    """A fact as EasyEdit takes it: the prompt with the subject's place left open.

    Raises:
        EditError: the subject is not there once, or a text holds braces.
    """
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


def module_names(model: PreTrainedModel, layer: int) -> dict[str, str]:
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


@contextmanager
def unchanged(model: PreTrainedModel, weights: Sequence[nn.Parameter], name: str) -> Iterator[None]:
    """Give requires_grad back, and raise unless the weights are the same bits afterwards.

    EasyEdit edits these matrices and restores them, so they are compared; every other
    parameter must not have been written in place, which its version counter tells.
    """
    others = [p for p in model.parameters() if not any(p is w for w in weights)]
    versions = [p._version for p in others]
    grads = [(p, p.requires_grad) for p in model.parameters()]
    before = [weight.detach().clone() for weight in weights]
    try:
        yield
    finally:
        for parameter, flag in grads:
            parameter.requires_grad_(flag)
        same = True
        with torch.no_grad():
            for weight, was in zip(weights, before, strict=True):
                same &= torch.equal(was.view(torch.uint8), weight.detach().view(torch.uint8))
                weight.copy_(was)
        if not same or versions != [p._version for p in others]:
            raise EditError(f"EasyEdit left {name} or another weight changed: load the model again")
