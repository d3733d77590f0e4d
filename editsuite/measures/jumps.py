"""Which steps of a series stand out from the others: a robust search for jumps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Steps under which none can be called unusual.
LEAST_STEPS = 8
#: 0.75 quantile of the standard normal: makes the median absolute deviation a standard deviation.
_MAD = 0.6744897501960817
#: ``sqrt(pi / 2)``: the same for the mean absolute deviation.
_MEAN_AD = 1.2533141373155001


@dataclass(frozen=True)
class Rule:
    """What makes a step a jump; all of it must hold.

    Steps that are drawn from one normal distribution hold a z above 6 somewhere in one of a hundred
    series of 10 steps, and in fewer of longer ones. Real steps have longer tails; so a jump has to
    be large as well, and no accident of the items it was measured on.

    Attributes:
        z: least robust z.
        least: least size of the step, in the unit of the series.
    """

    z: float = 6.0
    least: float = 0.05


def robust_z(steps: Sequence[float]) -> Array:
    """How far each step lies from their median, in robust standard deviations.

    Iglewicz and Hoaglin 1993 ("How to Detect and Handle Outliers", section 3.3): the median
    and the median absolute deviation do not move with the outlier that is looked for. Where more
    than half of the steps are equal that deviation is 0, and the mean absolute deviation stands in.

    Args:
        steps: ``[T]``.

    Returns:
        ``[T]``; ``inf`` for a step to infinity, NaN for one that is no number, all 0 where the
        finite steps are equal.
    """
    x = np.asarray(steps, dtype=np.float64)
    finite = x[np.isfinite(x)]
    if not finite.size:
        return np.where(np.isposinf(x), np.inf, np.nan)
    centre = np.median(finite)
    far = np.abs(finite - centre)
    # The exact sum does not depend on the order of the steps.
    scale = float(np.median(far)) / _MAD or math.fsum(far) / len(far) * _MEAN_AD
    if scale == 0:
        return np.where(np.isfinite(x), 0.0, x)
    return np.asarray((x - centre) / scale)


def jumps(steps: Sequence[float], lows: Sequence[float], rule: Rule | None = None) -> list[int]:
    """Steps that stand out as rises, in their order.

    A step to infinity is one, whatever the others are.

    Args:
        steps: ``[T]``.
        lows: ``[T]``, lower ends of the steps' intervals over the items they were measured on.
        rule: what a jump is; the usual where None.

    Returns:
        Their places, from 0.
    """
    rule = rule or Rule()
    z = robust_z(steps)
    enough = sum(np.isfinite(steps)) >= LEAST_STEPS
    return [
        at
        for at, (step, low) in enumerate(zip(steps, lows, strict=True))
        if step == np.inf or (enough and z[at] >= rule.z and step >= rule.least and low > 0)
    ]
