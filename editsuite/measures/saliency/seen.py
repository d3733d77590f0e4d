"""What is concluded from the saliency seen in two states."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from editsuite.measures.observation import Observation, share
from editsuite.measures.saliency.curves import (
    Curves,
    likeness,
    likeness_limits,
    reach,
)
from editsuite.measures.saliency.flows import FLOWS

#: A third of the layers each, from the embedding on.
DEPTHS = ("shallow", "middle", "deep")
STUDENT, LOG_STUDENT, BOOTSTRAP = "student 95%", "log student 95%", "bootstrap 95%"


def conclude(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Observation]:
    """All observations of a state, beside the unedited model's."""
    old, new = (Curves.of(seen["flows"], seen["scales"]) for seen in (before, after))
    yield from _answers(after)
    yield from _by_depth(old, new)
    yield from _strength(old, new)
    yield from _pattern(old, new)
    yield from _by_layer(new)


def _answers(seen: Mapping[str, Any]) -> Iterator[Observation]:
    rights, firsts = seen["right"], seen["first"]
    chosen = [float(a == b) for a, b in zip(seen["chosen"], rights, strict=True)]
    yield share("saliency.accuracy", chosen)
    yield share("saliency.first_token.valid", [float(first >= 0) for first in firsts])
    said = [float(first == right) for first, right in zip(firsts, rights, strict=True)]
    yield share("saliency.first_token.accuracy", said)


def _by_depth(old: Curves, new: Curves) -> Iterator[Observation]:
    """The shares in each third of the layers, and how far they are from the unedited model's."""
    n, depth = len(new.flows), new.flows.shape[-1]
    thirds = [layers for layers in np.array_split(np.arange(depth), len(DEPTHS)) if len(layers)]
    for number, flow in enumerate(FLOWS):
        for name, layers in zip(DEPTHS, thirds, strict=False):
            value = float(new.shares[number, layers].mean())
            moves = new.leverage[:, number, layers].mean(axis=1)
            yield _near(f"saliency.{flow}.{name}", value, n, "flow", reach(moves), (0.0, 1.0))
            if flow == "s_ww":
                continue  # the other two's changes with their sign turned
            change = value - float(old.shares[number, layers].mean())
            apart = moves - old.leverage[:, number, layers].mean(axis=1)
            far = reach(apart)
            yield _near(f"saliency.{flow}_change.{name}", change, n, "flow", far, (-1.0, 1.0))


def _strength(old: Curves, new: Curves) -> Iterator[Observation]:
    """Raw flows over the unedited model's, all layers together."""
    for number, flow in enumerate(FLOWS):
        a, b = (curves.flows[:, number].mean(axis=1) for curves in (old, new))
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = float(np.float64(b.mean()) / np.float64(a.mean()))
            far = reach(b / b.mean() - a / a.mean())
        low, high = (_scaled(ratio, sign * far) for sign in (-1, 1))
        yield Observation(
            f"saliency.strength.{flow}", ratio, len(a), "flow ratio", low, high, LOG_STUDENT
        )


def _pattern(old: Curves, new: Curves) -> Iterator[Observation]:
    """How like the unedited model's the curves over the layers are."""
    values = likeness(old.shares, new.shares)
    low, high = likeness_limits(old, new)
    names = [*((f"pattern.{flow}", "likeness") for flow in FLOWS), ("moved", "flow")]
    for i, (name, unit) in enumerate(names):
        value = float(values[i])
        # Draws differ more than the items themselves, so that all may lie beyond the value.
        ends = min(float(low[i]), value), max(float(high[i]), value)
        yield Observation(f"saliency.{name}", value, len(new.flows), unit, *ends, BOOTSTRAP)


def _by_layer(new: Curves) -> Iterator[Observation]:
    """Every layer's shares (Figure 8, Table 14) and raw flows, for whoever draws them."""
    n = len(new.flows)
    for number, flow in enumerate(FLOWS):
        for layer in range(new.flows.shape[-1]):
            far = reach(new.leverage[:, number, layer])
            value, name = float(new.shares[number, layer]), f"{flow}.L{layer:02d}"
            yield _near(f"saliency_by_layer.{name}", value, n, "flow", far, (0.0, 1.0))
            raw, far = float(new.raw[number, layer]), reach(new.flows[:, number, layer])
            ends = (0.0, math.inf)
            yield _near(f"saliency_by_layer.raw.{name}", raw, n, "nats", far, ends)


def _near(
    name: str, value: float, n: int, unit: str, far: float, ends: tuple[float, float]
) -> Observation:
    low, high = max(ends[0], value - far), min(ends[1], value + far)
    return Observation(name, value, n, unit, low, high, STUDENT)


def _scaled(ratio: float, far: float) -> float:
    """``ratio exp(far)``; infinite where that is too large for a float."""
    return ratio * math.exp(far) if far < 700 else math.inf
