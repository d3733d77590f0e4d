"""How far the edited matrices have moved.

The paper's section 7.1, Figure 6 and Table 8 use the correlation of original and edited
parameters, without saying more; here it is Pearson's r over all entries of an edited matrix, in
float64. It stays near 1 long after behaviour breaks, so relative drift and norm stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from editsuite.measures.observation import Observation, exact
from editsuite.measures.protocol import Look, View


def pearson(a: Tensor, b: Tensor) -> float:
    """Pearson's r of two tensors of one shape, over all entries, in float64."""
    x, y = a.double().flatten(), b.double().flatten()
    x, y = x - x.mean(), y - y.mean()
    return float((x @ y) / (x.norm() * y.norm()))


@dataclass(frozen=True)
class Parameters:
    """Correlation, relative drift and norm ratio of the edited matrices.

    Over several edited matrices their entries are taken together, as one long vector.
    """

    name: str = "parameters"
    identity: str = "parameters-1"

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """The state itself; the originals stand beside the weights."""
        return [Look(edits)]

    def look(self, view: View) -> Any:
        """The three numbers."""
        pairs = [(w.original, w.current) for _, w in sorted(view.weights.items())]
        before = torch.cat([a.double().flatten() for a, _ in pairs])
        after = torch.cat([b.double().flatten() for _, b in pairs])
        return {
            "n": before.numel(),
            "correlation": pearson(before, after),
            "drift": float((after - before).norm() / before.norm()),
            "norm": float(after.norm() / before.norm()),
        }

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """Correlation, ``|W' - W| / |W|`` and ``|W'| / |W|`` (Frobenius)."""
        (held,) = (seen[look] for look in self.looks(edits))
        n = held["n"]
        return (
            exact("parameters.correlation", held["correlation"], n, "correlation"),
            exact("parameters.relative_drift", held["drift"], n, "ratio"),
            exact("parameters.norm_ratio", held["norm"], n, "ratio"),
        )
