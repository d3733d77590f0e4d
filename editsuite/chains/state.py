"""state(t): the model after t edits, put on and taken off in place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from editsuite.cards import LoadedModel
from editsuite.editors.change import add
from editsuite.editors.protocol import Change, Dense, Factors, Remembers, Update, Weight


@dataclass(frozen=True)
class EditedWeight:
    """An edited matrix beside what it was.

    Attributes:
        original: the unedited weight, as stored in the model.
        current: the weight in the present state (the model's own tensor, not a copy).
        factors: one pair for each edit, in order, whose product is in the weight's own layout;
            None where an edit has none, or where they are more numbers than the weight has.
    """

    original: Tensor
    current: Tensor
    factors: tuple[Factors, ...] | None = None


class ModelState:
    """Holds one model and walks it through the states of one chain.

    Only the edited matrices are kept twice; beside them the factors of their changes, while those
    are fewer numbers than the matrix. Sums run in float32 and in the order of the edits,
    elementwise, so a state is the same bits whichever way it was reached, on any device; a
    weight of lower precision is the rounded sum, never a sum of rounded steps.

    Args:
        loaded: the model, unedited.
        parameters: names of the weights that will be edited.
        editor: an editor that has to know which updates are on; None where it need not.
    """

    def __init__(
        self, loaded: LoadedModel, parameters: Sequence[str], editor: Remembers | None = None
    ) -> None:
        self._loaded, self._editor = loaded, editor
        self._weights = {name: loaded.model.get_parameter(name) for name in sorted(parameters)}
        self._original = {name: w.detach().clone() for name, w in self._weights.items()}
        self._sums = {name: self._sum_of(name) for name in self._weights}
        self._factors: dict[str, tuple[Factors, ...] | None] = {}
        self.index = 0

    def _sum_of(self, name: str) -> Tensor:
        weight = self._weights[name]
        # In float32 the weight is its own sum; otherwise the sum is kept beside it.
        return weight.data if weight.dtype == torch.float32 else self._original[name].float()

    @torch.no_grad()
    def apply(self, update: Update) -> None:
        """Put on one more update; if that fails half-way, all are taken off."""
        try:
            self._add(update.factors)
            if self._editor is not None:
                self._editor.remember(update)
        except BaseException:
            self.reset()
            raise
        self.index += 1

    def _add(self, factors: Mapping[str, Change]) -> None:
        for name, change in factors.items():
            total = self._sums[name]
            add(total, change, transposed=self._loaded.family.transposed)
            if total.data_ptr() != self._weights[name].data_ptr():
                self._weights[name].copy_(total)
        for name in self._weights:
            self._factors[name] = self._with(name, factors.get(name))

    def _with(self, name: str, change: Change | None) -> tuple[Factors, ...] | None:
        """A weight's factors and those of one more edit, while that is worth its room."""
        kept = self._factors.get(name, ())
        if kept is None or isinstance(change, Dense):
            return None
        if change is None:  # an edit of other weights: no columns, so that edits can be counted
            rows, columns = self._weights[name].shape
            pair = (torch.zeros(rows, 0), torch.zeros(columns, 0))
        elif self._loaded.family.transposed:
            pair = (change.input, change.output)
        else:
            pair = (change.output, change.input)
        found = (*kept, pair)
        numbers = sum(left.numel() + right.numel() for left, right in found)
        return found if numbers <= self._weights[name].numel() else None

    @torch.no_grad()
    def reset(self) -> None:
        """Take all edits off: the weights are bit for bit the unedited ones."""
        for name, weight in self._weights.items():
            weight.copy_(self._original[name])
            if self._sums[name].data_ptr() != weight.data_ptr():
                self._sums[name].copy_(self._original[name])
        self._factors.clear()
        if self._editor is not None:
            self._editor.forget()
        self.index = 0

    def weights(self) -> Mapping[str, Weight]:
        """The edited matrices beside the originals."""
        return {
            name: EditedWeight(self._original[name], weight.detach(), self._factors.get(name, ()))
            for name, weight in self._weights.items()
        }

    def digest(self) -> str:
        """Hex sha256 over the edited matrices' float32 sums."""
        digest = hashlib.sha256()
        for name, total in self._sums.items():
            digest.update(name.encode())
            digest.update(total.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()
