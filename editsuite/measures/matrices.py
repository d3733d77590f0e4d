"""The edited matrices one by one: their spectra, and their movement layer by layer.

Correlation and drift say how far a matrix moved as a whole; its singular values say in which way.
A change whose spectral norm is a large part of its own norm acts in few directions, as a rank-one
edit does; a growing condition number means that some directions outgrow the others, which is
how sequential edits are said to break a layer (PRUNE, arXiv 2405.16821). None of them is in the
paper; they stand beside its correlation because that one alone does not rank damage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from editsuite.measures.moments import Moments, moments, together
from editsuite.measures.observation import Observation, exact
from editsuite.measures.parameters import moved
from editsuite.measures.protocol import Look, View, Weight
from editsuite.measures.spectrum import (
    change_rows,
    condition,
    rows_of,
    singular_values,
    spectral_norm_of,
)

#: Precisions in which a sum of rounded products is the sum of the products, for all that counts.
_SUMS = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Matrix:
    """What is seen of one edited matrix.

    Attributes:
        layer: the layer it belongs to; None where it belongs to none.
        moments: sums over its entries, before and after.
        largest: largest singular value before.
        change: largest singular value of the change.
        condition: condition number before; infinite where it was singular.
        condition_after: after.
    """

    layer: int | None
    moments: Moments
    largest: float
    change: float
    condition: float
    condition_after: float

    @classmethod
    def read(cls, held: Mapping[str, Any]) -> Matrix:
        """From what ``asdict`` made of one."""
        return cls(**{**held, "moments": Moments(**held["moments"])})

    @property
    def spectral_ratio(self) -> float:
        """``|W' - W|_2 / |W|_2``; infinite or NaN over a zero matrix."""
        if self.largest == 0:
            return math.inf if self.change > 0 else math.nan
        return self.change / self.largest

    @property
    def condition_ratio(self) -> float | None:
        """Condition number after over before; None where the matrix was singular to begin with."""
        return None if math.isinf(self.condition) else self.condition_after / self.condition


def change_norm(weight: Weight) -> float:
    """Spectral norm of a matrix's change.

    From the factors of the edits where there are few of them and the weight is their sum but for
    float32's rounding; otherwise from the difference, block by block.
    """
    if weight.factors is not None and weight.current.dtype in _SUMS:
        return spectral_norm_of(weight.factors)
    return float(singular_values(change_rows(weight.original, weight.current))[0])


def look_at(weight: Weight, layer: int | None) -> Matrix:
    """See one matrix; one that no edit touched is taken apart once."""
    before = singular_values(rows_of(weight.original))
    same = weight.original is weight.current
    after = before if same else singular_values(rows_of(weight.current))
    whole = bool(torch.isfinite(after).all())
    shape = weight.original.shape
    return Matrix(
        layer,
        moments(weight.original, weight.current),
        float(before[0]),
        change_norm(weight) if whole else math.nan,
        condition(before, shape),
        condition(after, shape),
    )


@dataclass(frozen=True)
class Matrices:
    """Spectral norm of the change, condition number and weight norm; all numbers by layer too."""

    name: str = "matrices"
    identity: str = "matrices-1"

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """The state itself; the originals stand beside the weights."""
        return [Look(edits)]

    def look(self, view: View) -> Any:
        """Each matrix, in the order of their names."""
        layers = _layers(view)
        weights = sorted(view.weights.items())
        return [asdict(look_at(weight, layers.get(name))) for name, weight in weights]

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """All matrices together and, where several layers were edited, each layer.

        Of several matrices a spectral number is that of the one where it is largest.
        """
        (held,) = ([Matrix.read(m) for m in seen[look]] for look in self.looks(edits))
        found = list(_spectra("parameters.{}", held))
        layers = sorted({m.layer for m in held if m.layer is not None})
        for layer in layers if len(layers) > 1 else ():
            own, name = [m for m in held if m.layer == layer], f"parameters.{{}}.L{layer:02}"
            found += moved(name, together([m.moments for m in own]))
            found += _spectra(name, own)
        return tuple(found)


def _spectra(name: str, held: Sequence[Matrix]) -> tuple[Observation, ...]:
    whole = together([m.moments for m in held])
    n, ratio = whole.n, [m.spectral_ratio for m in held]
    found = [
        exact(name.format("spectral_change"), _largest([m.change for m in held]), n, "norm"),
        exact(name.format("spectral_ratio"), _largest(ratio), n, "ratio"),
    ]
    ratios = [m.condition_ratio for m in held]
    told = [(m.condition_after, r) for m, r in zip(held, ratios, strict=True) if r is not None]
    if told:
        numbers, grown = zip(*told, strict=True)
        found.append(exact(name.format("condition_number"), _largest(numbers), n, "ratio"))
        found.append(exact(name.format("condition_ratio"), _largest(grown), n, "ratio"))
    found.append(exact(name.format("weight_norm"), whole.norm_after, n, "norm"))
    return tuple(found)


def _largest(numbers: Sequence[float]) -> float:
    """The largest; NaN where any is."""
    return math.nan if any(map(math.isnan, numbers)) else max(numbers)


def _layers(view: View) -> dict[str, int]:
    """Of each edited matrix that belongs to a layer, which one."""
    loaded = view.stack.loaded
    prefixes = {f"{loaded.layer_name(i)}.": i for i in range(loaded.card.n_layers)}
    return {
        name: layer
        for name in view.weights
        for prefix, layer in prefixes.items()
        if name.startswith(prefix)
    }
