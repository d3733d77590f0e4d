"""Observations of a model, live or committed, as readings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from editsuite.measures.observation import Observation
from editsuite.verdicts.findings.quantities import quantity_of
from editsuite.verdicts.findings.reading import Reading
from editsuite.verdicts.tables import Setting


def read(
    observations: Iterable[Observation],
    settings: Mapping[str, Setting],
    n_layers: int,
    source: str,
) -> Iterator[Reading]:
    """Read the observations that a finding can be told by; the others are left out.

    A number that is none (NaN) is left out too: its check fails by itself.

    Args:
        observations: of one state.
        settings: of the state; ``layer`` as ``5`` or ``4-5-6``. Its depth is added.
        n_layers: of the model.
        source: where the observations stand.
    """
    place = dict(settings)
    if "layer" in place:
        layers = [int(layer) for layer in str(place["layer"]).split("-")]
        place["depth"] = sum(layers) / len(layers) / max(1, n_layers - 1)
    for one in observations:
        named = quantity_of(one.name)
        if named is None or any(map(math.isnan, (one.value, one.low, one.high))):
            continue
        quantity, layer = named
        here = dict(place)
        if layer is not None:
            here["attention_layer"] = layer
            here["attention_depth"] = layer / max(1, n_layers - 1)
        # The interval of a score that counts an item more need not hold the value itself.
        low, high = min(one.low, one.value), max(one.high, one.value)
        yield Reading(quantity, here, one.value, low, high, one.n, source)
