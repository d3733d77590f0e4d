"""How far the edited matrices have moved.

The paper's section 7.1, Figure 6 and Table 8 use the correlation of original and edited
parameters, without saying more; here it is Pearson's r over all entries of an edited matrix, in
float64. It stays near 1 long after behaviour breaks, so relative drift and norm stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from editsuite.measures.moments import Moments, moments, together
from editsuite.measures.observation import Observation, exact
from editsuite.measures.protocol import Look, View


def pearson(a: Tensor, b: Tensor) -> float:
    """Pearson's r of two tensors of one shape, over all entries, in float64."""
    return moments(a, b).correlation


@dataclass(frozen=True)
class Parameters:
    """Correlation, relative drift and norm ratio of the edited matrices.

    Over several edited matrices their entries are taken together, as one long vector. The numbers
    are those of the weights as the model holds them, so they include their rounding.
    """

    name: str = "parameters"
    identity: str = "parameters-2"

    def looks(self, edits: int, batch: int = 1) -> Sequence[Look]:
        """The state itself; the originals stand beside the weights."""
        return [Look(edits)]

    def look(self, view: View) -> Any:
        """Sums over the entries of all matrices."""
        weights = [w for _, w in sorted(view.weights.items())]
        return asdict(together([moments(w.original, w.current) for w in weights]))

    def observe(
        self, edits: int, seen: Mapping[Look, Any], batch: int = 1
    ) -> tuple[Observation, ...]:
        """Correlation, ``|W' - W| / |W|`` and ``|W'| / |W|`` (Frobenius)."""
        (held,) = (Moments(**seen[look]) for look in self.looks(edits))
        return moved("parameters.{}", held)


def moved(name: str, held: Moments) -> tuple[Observation, ...]:
    """The three numbers of a movement.

    Args:
        name: of the observations, with ``{}`` where the number's own name goes.
        held: sums over the entries.
    """
    return (
        exact(name.format("correlation"), held.correlation, held.n, "correlation"),
        exact(name.format("relative_drift"), held.drift, held.n, "ratio"),
        exact(name.format("norm_ratio"), held.norm_ratio, held.n, "ratio"),
    )
