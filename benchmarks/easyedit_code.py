"""EasyEdit's own modules, loaded as they stand, and a shield around a call of them.

The ``__init__`` files of its packages import every method with their pins of 2022, so modules are
loaded without them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from editsuite.errors import EditError, listing

#: Pairs of a text in a module's source and what stands there instead.
Mends = Sequence[tuple[bytes, bytes]]


class _Mended(SourceFileLoader):
    """Loads a module with parts of its source replaced.

    Done in the source, since intercepting torch calls instead would slow what may be timed; and
    past the bytecode cache, which would hand the altered module to every other user.
    """

    mends: Mends = ()

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        for old, new in self.mends:
            source = source.replace(old, new)
        return self.source_to_code(source, self.path)


def load_modules(
    package: str, names: Sequence[str], mends: Mapping[str, Mends], root: Path | None = None
) -> list[ModuleType]:
    """Load modules of one of EasyEdit's packages, no ``__init__`` of which ever runs.

    Args:
        package: below ``easyeditor``, such as ``models.rome``.
        names: the modules wanted.
        mends: by module of the package, what is replaced in its source.
        root: the folder ``easyeditor``; that of the installed package where None.
    """
    root = root or installed_root()
    parts = ["easyeditor", *(f"easyeditor.{p}" for p in ("util", "models", "models.rome", package))]
    with _own_names():
        for name in parts:
            shell = ModuleType(name)
            shell.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
            sys.modules[name] = shell
        for short, replaced in mends.items():
            name = f"easyeditor.{package}.{short}"
            loader = _Mended(name, str(root.joinpath(*package.split("."), f"{short}.py")))
            loader.mends = replaced
            spec = spec_from_loader(name, loader)
            if spec is None:
                raise EditError(f"{name} cannot be loaded from {root}: install easyeditor again")
            sys.modules[name] = module_from_spec(spec)
            loader.exec_module(sys.modules[name])
        return [import_module(f"easyeditor.{package}.{name}") for name in names]


def installed_root() -> Path:
    """The installed package's folder; an EditError where there is none."""
    spec = find_spec("easyeditor")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise EditError(
            "easyeditor is no package here: pip install --no-deps easyeditor==0.0.1.dev0"
        )
    return Path(next(iter(places)))


@contextmanager
def _own_names() -> Iterator[None]:
    """Set aside what sys.modules holds of easyeditor, so that a full import still works after."""

    def clear() -> dict[str, ModuleType]:
        names = [name for name in sys.modules if name.partition(".")[0] == "easyeditor"]
        return {name: sys.modules.pop(name) for name in names}

    aside = clear()
    try:
        yield
    finally:
        clear()
        sys.modules.update(aside)


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


@contextmanager
def right_padded(tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
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
