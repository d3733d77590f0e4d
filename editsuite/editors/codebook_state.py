"""The states of a codebook beside a model: state t is the model with t edits looked up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.editors.codebook import DECISIONS, Codebook, Placement
from editsuite.editors.protocol import Update, Weight
from editsuite.engine import DecoderStack
from editsuite.errors import ChainError


@dataclass(frozen=True)
class CodebookAdapter:
    """A codebook behind a module: at query tokens the found value is what the module puts out.

    Attributes:
        layer: see ``editsuite.engine.Adapter``.
        module: see there.
        codebook: looked up by the module's input.
    """

    layer: int
    module: str
    codebook: Codebook

    def __call__(self, entering: Tensor, leaving: Tensor) -> Tensor | None:
        """See ``editsuite.engine.Adapter``."""
        found = [self.codebook.lookup(query) for query in entering.detach().cpu()]
        hits = [(row, index) for row, index in enumerate(found) if index is not None]
        if not hits:
            return None
        rows, entries = zip(*hits, strict=True)
        put = leaving.clone()
        put[list(rows)] = self.codebook.values[list(entries)].to(put)
        return put


@dataclass(frozen=True)
class Entered:
    """One edit of a codebook, as it is journaled.

    Attributes:
        placement: where it went, and all changed radii.
        key: ``[d_in]``.
        value: ``[d_out]``.
        label: the target's token ids.
    """

    placement: Placement
    key: Tensor
    value: Tensor
    label: tuple[int, ...]

    def tensors(self) -> dict[str, Tensor]:
        """The edit as tensors, for ``Update.tensors``."""
        radii = self.placement.radii
        return {
            "decision": torch.tensor(DECISIONS.index(self.placement.decision)),
            "index": torch.tensor(self.placement.index),
            "key": self.key,
            "value": self.value,
            "label": torch.tensor(self.label),
            "radii_at": torch.tensor(list(radii), dtype=torch.long),
            "radii": torch.tensor(list(radii.values()), dtype=torch.float64),
        }

    def into(self, codebook: Codebook) -> Codebook:
        """The codebook with this edit."""
        return codebook.put(self.placement, self.key, self.value, self.label)


def entered(tensors: Mapping[str, Tensor]) -> Entered:
    """Read an edit back from its tensors."""
    radii = zip(tensors["radii_at"].tolist(), tensors["radii"].tolist(), strict=True)
    decision = DECISIONS[int(tensors["decision"])]
    placement = Placement(decision, int(tensors["index"]), dict(radii))
    return Entered(placement, tensors["key"], tensors["value"], tuple(tensors["label"].tolist()))


@dataclass(frozen=True)
class Untouched:
    """A matrix that is as it was, beside itself.

    Attributes:
        original: the model's own tensor.
    """

    original: Tensor

    @property
    def current(self) -> Tensor:
        """The same tensor."""
        return self.original

    @property
    def factors(self) -> tuple[()]:
        """No change was ever made."""
        return ()


class CodebookState:
    """Walks a model through the states of a codebook; no weight ever changes.

    Args:
        stack: the model, unedited; the adapter is put into it and taken out again.
        layer: the layer whose down projection the codebook stands behind.
    """

    def __init__(self, stack: DecoderStack, layer: int) -> None:
        self._stack, self._layer = stack, layer
        self._name = stack.loaded.down_proj_name(layer)
        self._empty = empty_codebook(stack, layer)
        self._placed: CodebookAdapter | None = None
        self.codebook = self._empty
        self.index = 0

    def apply(self, update: Update) -> None:
        """Put on one more edit; if that fails half-way, all are taken off.

        Raises:
            ChainError: another adapter is in place, which has to be taken off first.
        """
        if self._stack.adapter is not self._placed:
            raise ChainError(
                f"the model has an adapter that is not of this chain, at layer {self._layer}; "
                "bring its chain to state 0 first"
            )
        try:
            self.codebook = entered(update.tensors).into(self.codebook)
        except BaseException:
            self.reset()
            raise
        module = self._stack.loaded.family.down_proj
        self._placed = CodebookAdapter(self._layer, module, self.codebook)
        self._stack.adapter = self._placed
        self.index += 1

    def reset(self) -> None:
        """Take the codebook out; another chain's adapter stays."""
        if self._stack.adapter is self._placed:
            self._stack.adapter = None
        self._placed, self.codebook, self.index = None, self._empty, 0

    def weights(self) -> Mapping[str, Weight]:
        """The matrix that the codebook stands behind, which is as it was."""
        return {self._name: Untouched(self._stack.loaded.model.get_parameter(self._name).detach())}

    def digest(self) -> str:
        """Hex sha256 over the codebook and its place."""
        book = self.codebook
        digest = hashlib.sha256(f"{self._name} {book.labels}".encode())
        for tensor in (book.keys, book.values, book.radii):
            digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def empty_codebook(stack: DecoderStack, layer: int) -> Codebook:
    """A codebook without entries, for one layer's down projection."""
    shape = stack.loaded.down_proj_weight(layer).shape
    d_in, d_out = shape if stack.loaded.family.transposed else shape[::-1]
    return Codebook.empty(d_in, d_out)


def codebook_of(stack: DecoderStack, layer: int) -> Codebook:
    """The codebook that the model has at a layer as it stands now.

    Raises:
        ChainError: the adapter in place is of another kind, or at another layer.
    """
    adapter = stack.adapter
    if adapter is None:
        return empty_codebook(stack, layer)
    if not isinstance(adapter, CodebookAdapter) or adapter.layer != layer:
        raise ChainError(
            f"an adapter at layer {adapter.layer} is in place, and it is no codebook of layer "
            f"{layer}; bring its chain to state 0 first"
        )
    return adapter.codebook
