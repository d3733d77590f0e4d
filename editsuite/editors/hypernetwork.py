"""MEND's hypernetwork: from the parts of a gradient to the parts of an update.

Mitchell et al. 2022 ("Fast Model Editing at Scale", section 3): the gradient of a linear map for
one request is a sum of few rank-one parts, ``sum_t delta_t u_t^T`` over the tokens ``t``, where
``u`` enters the map and ``delta`` is the gradient of what leaves it. A small network turns every
pair ``(u, delta)`` into another one, and the map changes by ``-rate * sum_t delta~_t u~_t^T``.

As in the reference (EasyEdit's ``MEND.py`` and ``local_nn.py``, settings ``combine``, ``norm``,
``shared``, ``init: id``): both vectors are brought to zero mean and unit deviation by statistics
gathered in training, joined, and run through residual layers ``x + max(0, (B A x + b) * s + o)``
that begin as the identity (``B = 0``); maps of one shape share a network and differ by their own
``s`` and ``o``; every map has a learned rate. Each departure is told in docs/methods/mend.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

#: Added to a deviation before dividing by it (the reference's).
EPSILON = 1e-7


@dataclass(frozen=True)
class MapShape:
    """A linear map that the network edits.

    Attributes:
        name: full name of its weight.
        d_in: width of what enters it.
        d_out: width of what leaves it.
    """

    name: str
    d_in: int
    d_out: int

    @property
    def key(self) -> str:
        """Which network serves it: ``576x1536``."""
        return f"{self.d_in}x{self.d_out}"


@dataclass(frozen=True)
class Parts:
    """Rank-one parts of a matrix: ``sum_t output_t input_t^T``.

    Attributes:
        input: ``[parts, d_in]``.
        output: ``[parts, d_out]``.
        owner: ``[parts]`` number of the request that each part belongs to.
    """

    input: Tensor
    output: Tensor
    owner: Tensor


class Normaliser(nn.Module):
    """Mean and deviation of the vectors seen in training, one number a dimension.

    Args:
        width: of the vectors.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.squares: Tensor
        self.count: Tensor
        # Float64: the sums run over a whole training, and cost nothing beside the network.
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def see(self, x: Tensor) -> None:
        """Take ``[vectors, width]`` into the statistics (Chan et al. 1983)."""
        if not len(x):
            return
        x = x.double()
        count, mean = len(x), x.mean(dim=0)
        total = self.count + count
        apart = mean - self.mean
        self.squares += (x - mean).pow(2).sum(dim=0) + apart.pow(2) * self.count * count / total
        self.mean += apart * count / total
        self.count.copy_(total)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with zero mean and unit deviation, in its own precision."""
        deviation = (self.squares / (self.count - 1).clamp(min=1)).sqrt() + EPSILON
        return (x - self.mean.to(x.dtype)) / deviation.to(x.dtype)


class ResidualLayer(nn.Module):
    """``x + max(0, (B A x + b) * scale + shift)``; the identity before training.

    Args:
        width: of ``x``.
        rank: of ``B A``.
        modes: number of maps that share the layer, each with its own scale and shift.
        generator: draws ``A``.
    """

    def __init__(self, width: int, rank: int, modes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(width, min(rank, width)))
        self.a = nn.Parameter(torch.randn(min(rank, width), width, generator=generator))
        self.bias = nn.Parameter(torch.zeros(width))
        self.scale = nn.Parameter(torch.ones(modes, width))
        self.shift = nn.Parameter(torch.zeros(modes, width))

    def forward(self, x: Tensor, mode: int) -> Tensor:
        """``[parts, width]`` to the same."""
        inner = (x @ self.a.T) @ self.b.T + self.bias
        # clamp and not relu: relu's gradient at 0 is 0, and all begins at 0
        return x + (inner * self.scale[mode] + self.shift[mode]).clamp(min=0)


class GradientTransform(nn.Module):
    """The network of all maps of one shape."""

    def __init__(
        self, shape: MapShape, modes: int, rank: int, n_hidden: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        width = shape.d_in + shape.d_out
        self.input = Normaliser(shape.d_in)
        self.output = Normaliser(shape.d_out)
        self.layers = nn.ModuleList(
            ResidualLayer(width, rank, modes, generator) for _ in range(n_hidden + 1)
        )

    def see(self, parts: Parts) -> None:
        """Take the parts into the statistics."""
        self.input.see(parts.input)
        self.output.see(parts.output)

    def forward(self, parts: Parts, mode: int) -> Parts:
        """The parts of the update, without the rate."""
        x = torch.cat([self.input(parts.input), self.output(parts.output)], dim=-1)
        for layer in self.layers:
            x = layer(x, mode)
        width = parts.input.shape[-1]
        entering, leaving = x[:, :width], x[:, width:]
        return Parts(entering, leaving, parts.owner)


class Hypernetwork(nn.Module):
    """One ``GradientTransform`` for each shape, and a rate for each map.

    Args:
        shapes: the edited maps; the order gives each its place among the maps of its shape.
        rank: of the residual layers.
        n_hidden: residual layers less one.
        rate: of every map at the beginning.
        seed: of what is drawn.
    """

    def __init__(
        self,
        shapes: Sequence[MapShape],
        *,
        rank: int,
        n_hidden: int = 1,
        rate: float = 1e-4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.shapes, self.rank, self.n_hidden = tuple(shapes), rank, n_hidden
        by_key: dict[str, list[MapShape]] = {}
        for shape in self.shapes:
            by_key.setdefault(shape.key, []).append(shape)
        self.modes = {s.name: i for same in by_key.values() for i, s in enumerate(same)}
        generator = torch.Generator().manual_seed(seed)
        self.transforms = nn.ModuleDict(
            {
                key: GradientTransform(same[0], len(same), rank, n_hidden, generator)
                for key, same in by_key.items()
            }
        )
        self.rates = nn.Parameter(torch.full((len(self.shapes),), rate))

    def see(self, gradients: Mapping[str, Parts]) -> None:
        """Take the gradients of all maps, by name, into the statistics."""
        for shape in self.shapes:
            transform: GradientTransform = self.transforms[shape.key]  # type: ignore[assignment]
            transform.see(gradients[shape.name])

    def forward(self, gradients: Mapping[str, Parts]) -> dict[str, Parts]:
        """The update's parts by name, rate and sign included: they are to be added."""
        updates = {}
        for shape, rate in zip(self.shapes, self.rates, strict=True):
            parts = self.transforms[shape.key](gradients[shape.name], self.modes[shape.name])
            updates[shape.name] = Parts(parts.input, -rate * parts.output, parts.owner)
        return updates
