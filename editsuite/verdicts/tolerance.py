"""How far a number may lie from its baseline: measured noise, and the least there is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scipy import stats

#: Items from which on one more or less is allowed for.
LEAST_ITEMS = 10
#: What another order of the same float32 sums may move, by unit: about ten times what was seen on
#: the unedited default model. Of ``ABSOLUTE`` units it is the number itself, of the others a share
#: of the value.
ARITHMETIC: Mapping[str, float] = {
    "nats": 1e-5,
    "perplexity": 1e-6,
    "ratio": 1e-6,
    "correlation": 1e-8,
    "flow": 5e-6,
    "flow ratio": 1e-4,
    "likeness": 1e-6,
}
#: Units of numbers that may be 0.
ABSOLUTE = frozenset({"nats", "flow", "likeness"})


def tolerance(
    kind_values: Mapping[str, Sequence[float]], base: float, n: int, unit: str
) -> tuple[float, dict[str, float]]:
    """The tolerance that measured noise asks for, and the noise by kind.

    Context seeds are draws from a population: a new draw lies within the 95 % prediction
    interval ``t s sqrt(1 + 1/k)`` of k draws. Threads, batch sizes and other last bits are a
    few fixed ways to do the same arithmetic, their largest deviation counts twice. A share of ten
    or more items also gets one item: a near tie may fall the other way on a processor that was
    not tried. No tolerance is less than what another order of sums may move (`ARITHMETIC`).

    Args:
        kind_values: the values of every variation, by kind.
        base: the base's value.
        n: items of the observation.
        unit: its unit.
    """
    noise: dict[str, float] = {}
    room = [_least(base, n, unit)]
    for kind, values in kind_values.items():
        if kind == "contexts":
            draws = [base, *values]
            k, mean = len(draws), math.fsum([base, *values]) / (len(values) + 1)
            noise[kind] = math.sqrt(math.fsum((v - mean) ** 2 for v in draws) / (k - 1))
            room.append(float(stats.t.ppf(0.975, k - 1)) * noise[kind] * math.sqrt(1 + 1 / k))
        else:
            noise[kind] = max(abs(v - base) for v in values)
            room.append(2 * noise[kind])
    return max(room), noise


def least_tolerance(observations: Mapping[str, Mapping[str, Any]], name: str) -> float:
    """What is allowed of a number that was never measured twice.

    A share gets one item; what is left of a score the same, as far as its own score, lost and won
    items tell it; all other numbers what another order of sums may move. Rounded up to three
    digits, so that a file reads well.

    Args:
        observations: of one check, with ``value``, ``n`` and ``unit`` each.
        name: the number's name.
    """
    held = observations[name]
    value, n = float(held["value"]), int(held["n"])
    if not math.isfinite(value):
        return 0.0
    return _rounded_up(max(_least(value, n, str(held["unit"])), one_item(observations, name)))


def one_item(observations: Mapping[str, Mapping[str, Any]], name: str) -> float:
    """What one item more or less makes of a retention: its score's tolerance allows for that."""
    stem, _, last = name.rpartition(".")
    n = int(observations[name]["n"])
    parts = [observations.get(f"{stem}.{part}") for part in ("score", "lost", "won")]
    if last != "retention" or n < LEAST_ITEMS or None in parts:
        return 0.0
    score, lost, won = (float(part["value"]) for part in parts if part is not None)
    return float(f"{1 / (n * (score + lost - won)):.3g}")


def _least(base: float, n: int, unit: str) -> float:
    item = 1 / n if unit == "share" and n >= LEAST_ITEMS else 0.0
    return max(item, ARITHMETIC.get(unit, 0.0) * (1.0 if unit in ABSOLUTE else abs(base)))


def _rounded_up(room: float) -> float:
    if room == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(room)) - 2)
    return float(f"{math.ceil(room / step * (1 - 1e-12)) * step:.3g}")
