"""Which observation fills which column of the paper's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from editsuite.measures.observation import Observation
from editsuite.verdicts.findings import TABLE_1

#: Column of the benchmarks' mean.
AVERAGE = "average"
#: Columns of the flows of saliency, and what the paper's equations call them.
FLOWS: Mapping[str, tuple[str, ...]] = {
    "s_wp": ("s_wp",),
    "s_qp": ("s_qp", "s_pq"),
    "s_ww": ("s_ww",),
}


@dataclass(frozen=True)
class Quantity:
    """How a column is filled.

    Attributes:
        measure: the measure that gives it.
        names: observations, the first that was made is taken.
        factor: from the observation's unit to the column's.
    """

    measure: str
    names: tuple[str, ...]
    factor: float = 1.0


def _recall(scope: str, part: str) -> Quantity:
    # The paper counts as EasyEdit does, given the target's earlier tokens.
    return Quantity(f"recall.{scope}", (f"{part}.{scope}.teacher_forced",), 100.0)


#: By column.
QUANTITIES: Mapping[str, Quantity] = {
    **{
        column: Quantity(f"capability.{name}", (f"capability.{name}.score",), 100.0)
        for name, column in TABLE_1.items()
    },
    **{
        f"{scope}_{part}": _recall(scope, part)
        for scope in ("sequential", "individual")
        for part in ("reliability", "generalization")
    },
    "reliability": _recall("sequential", "reliability"),
    "generalization": _recall("sequential", "generalization"),
    "answer_perplexity": Quantity("answers", ("perplexity.answers",)),
    "text_perplexity": Quantity("perplexity", ("perplexity.text", "perplexity.prose")),
    "similarity": Quantity("parameters", ("parameters.correlation",)),
}
#: Columns that a figure shows of a measure, where it has others than those of ``QUANTITIES``.
_SHORT = ("reliability", "generalization")


def columns_of(measures: Sequence[str]) -> tuple[str, ...]:
    """The columns that some measures fill, in the order of the measures."""
    found = []
    for measure in measures:
        if measure == "saliency":
            found += list(FLOWS)
        found += [
            name
            for name, quantity in QUANTITIES.items()
            if quantity.measure == measure and name not in _SHORT
        ]
    return tuple(dict.fromkeys(found))


def value_of(
    column: str, seen: Mapping[str, Observation], attention_layer: int | None = None
) -> Observation | None:
    """What a column shows of a state, in the column's unit; None where it was not observed.

    Args:
        column: of the paper's table.
        seen: the state's observations by name.
        attention_layer: layer of this model whose attention is looked at.
    """
    if column == AVERAGE:
        return _average(seen)
    if column in FLOWS:
        names = tuple(
            f"saliency_by_layer.{flow}.L{attention_layer or 0:02d}" for flow in FLOWS[column]
        )
        quantity = Quantity("saliency", names)
    else:
        quantity = QUANTITIES[column]
    found = next((seen[name] for name in quantity.names if name in seen), None)
    return None if found is None else scaled(found, quantity.factor)


def scaled(observation: Observation, factor: float) -> Observation:
    """An observation in another unit."""
    return replace(
        observation,
        value=observation.value * factor,
        low=observation.low * factor,
        high=observation.high * factor,
    )


def _average(seen: Mapping[str, Observation]) -> Observation | None:
    """The mean of the eight benchmarks; without an interval, for their items are not alike."""
    parts = [value_of(column, seen) for column in TABLE_1.values()]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    mean = sum(part.value for part in known) / len(known)
    items = sum(part.n for part in known)
    return Observation(AVERAGE, mean, items, "percent", mean, mean, "none")
