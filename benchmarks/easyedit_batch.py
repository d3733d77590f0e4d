"""EasyEdit's MEMIT and AlphaEdit as independent references: their own code, on any device.

MEMIT comes from the registry's ``easyeditor`` (see ``easyedit_reference``) or from a tree of
EasyEdit, AlphaEdit from a tree. The registry's MEMIT wants layers that put out a
tuple, and is shown some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, fields
from functools import cache
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.easyedit_code import (
    load_modules,
    module_names,
    request_of,
    unchanged,
)
from editsuite.editors.easyedit.guard import right_padded, tuples
from editsuite.facts import EditRequest


@dataclass(frozen=True)
class Batch:
    """What is edited, and how.

    Attributes:
        model: a causal model in eval mode, all of it on one device; it is left as it was.
        tokenizer: its tokenizer.
        requests: the facts; each subject once in its prompt.
        layers: edited layers, ascending.
        contexts: texts set before the prompts; the first is the empty string.
        hparams: the search's settings as for ROME, and the method's own.
        home: a tree of EasyEdit; the registry's package where None.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    requests: Sequence[EditRequest]
    layers: Sequence[int]
    contexts: Sequence[str]
    hparams: Mapping[str, object]
    home: Path | None = None

    def blocks(self) -> list[nn.Module]:
        """All layers of the model."""
        template = module_names(self.model, self.layers[-1])["layer_module_tmp"]
        depth = self.model.config.num_hidden_layers
        return [self.model.get_submodule(template.format(i)) for i in range(depth)]

    def weights(self) -> list[nn.Parameter]:
        """The edited matrices."""
        template = module_names(self.model, self.layers[-1])["rewrite_module_tmp"]
        modules = [self.model.get_submodule(template.format(layer)) for layer in self.layers]
        return [module.get_parameter("weight") for module in modules]


def reference_memit(batch: Batch, covariances: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """One batch by EasyEdit's MEMIT.

    Args:
        batch: what is edited.
        covariances: by layer ``[d_ff, d_ff]``.

    Returns:
        By layer the change, ``[d_out, d_in]`` float64.
    """
    (main,) = _memit(batch.home)

    def covariance(_: object, __: object, layer_name: str, *___: object, **____: object) -> Tensor:
        (layer,) = (layer for layer in batch.layers if f".{layer}." in layer_name)
        return covariances[layer].to(batch.weights()[0].device)

    with _shielded(batch, main), patch.object(main, "get_cov", covariance):
        factors = main.execute_memit(
            batch.model, batch.tokenizer, _asked(batch), _settings(batch, main.MEMITHyperParams)
        )
    found = [right.double() @ left.double().T for left, right in factors.values()]
    return dict(zip(batch.layers, found, strict=True))


def reference_alphaedit(
    batch: Batch, projections: Mapping[int, Tensor], earlier: Tensor | None = None
) -> tuple[dict[int, Tensor], Tensor]:
    """One batch by EasyEdit's AlphaEdit, which only a tree of EasyEdit has.

    Args:
        batch: what is edited.
        projections: by layer the projection ``P``, ``[d_ff, d_ff]``.
        earlier: ``[layers, d_ff, d_ff]`` sum of ``k k^T`` over earlier edits' keys; 0 where None.

    Returns:
        By layer the change, ``[d_out, d_in]`` float64, and what the sum has become.
    """
    (main,) = _alphaedit(batch.home)
    held = torch.stack([projections[layer].float() for layer in batch.layers])
    keys = torch.zeros_like(held) if earlier is None else earlier.clone()
    with (
        _shielded(batch, main),
        patch.object(main, "P", held, create=True),
        patch.object(main, "cache_c", keys, create=True),
    ):
        deltas = main.execute_AlphaEdit(
            batch.model, batch.tokenizer, _asked(batch), _settings(batch, main.AlphaEditHyperParams)
        )
    return dict(zip(batch.layers, (d.double() for d in deltas.values()), strict=True)), keys


@cache
def _memit(home: Path | None) -> list[ModuleType]:
    return load_modules("models.memit", ("memit_main",), _root(home))


@cache
def _alphaedit(home: Path | None) -> list[ModuleType]:
    return load_modules("models.alphaedit", ("AlphaEdit_main",), _root(home))


def _root(home: Path | None) -> Path | None:
    return None if home is None else home / "easyeditor"


def _asked(batch: Batch) -> list[dict[str, str]]:
    return [request_of(r.prompt, r.subject, r.target_new, batch.contexts) for r in batch.requests]


def _settings(batch: Batch, kind: Callable[..., Any]) -> Any:
    """EasyEdit's settings: what is not given is set to None, for nothing reads it here."""
    known: Any = kind
    model: Any = batch.model
    embedding = model.get_input_embeddings()
    head = next(n for n, m in batch.model.named_modules() if m is model.get_output_embeddings())
    tied = next(n for n, m in batch.model.named_modules() if m is embedding)
    weights = dict(batch.model.named_parameters())
    own = {
        "fact_token": "subject_last",
        "layers": list(batch.layers),
        "device": batch.weights()[0].device,
        "ln_f_module": "model.norm",
        # A tied head has no parameter of its own name: its matrix is the embedding's.
        "lm_head_module": head if f"{head}.weight" in weights else tied,
        **module_names(batch.model, batch.layers[-1]),
    }
    unread = {field.name: None for field in fields(known) if field.name not in own}
    return kind(**{**unread, **own, **batch.hparams})


@contextmanager
def _shielded(batch: Batch, main: ModuleType) -> Iterator[None]:
    templates = [["{}"], [prefix + "{}" for prefix in batch.contexts[1:]]]
    with ExitStack() as stack:
        stack.enter_context(unchanged(batch.model, batch.weights(), "an edited layer"))
        stack.enter_context(right_padded(batch.tokenizer))
        if batch.home is None:
            stack.enter_context(tuples(batch.blocks()))
        stack.enter_context(patch.object(main, "CONTEXT_TEMPLATES_CACHE", templates))
        stack.enter_context(redirect_stdout(StringIO()))
        yield
