"""Verdicts of one family, corrected for how many they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from statsmodels.stats.multitest import multipletests

from editsuite.verdicts.verdict import ALPHA, Correction, Verdict

Method = Literal["holm", "benjamini-hochberg"]

#: What statsmodels calls them.
_METHODS = {"holm": "holm", "benjamini-hochberg": "fdr_bh"}


def corrected(
    family: str, verdicts: Sequence[Verdict], method: Method = "holm"
) -> tuple[Verdict, ...]:
    """Correct the p values of a family.

    The claims "retained" are one set of hypotheses, the claims "lost" another; each is corrected
    by itself, so what holds of it holds under any dependence that the method allows.

    - ``holm`` (Holm 1979, Scandinavian Journal of Statistics 6, 65): any wrong claim of the family,
      in that direction, has at most probability 2.5 %, however the verdicts hang together. For
      gates.
    - ``benjamini-hochberg`` (1995, Journal of the Royal Statistical Society B 57, 289): of the
      claims made, at most 2.5 % are wrong on average, for independent or positively dependent
      verdicts. For tables of many states, where single errors may stand.

    Args:
        family: what the verdicts have in common; it stands in each verdict.
        verdicts: in any order; those without tests stay as they are and do not count.
        method: which correction.

    Returns:
        The verdicts in the same order.
    """
    tested = [v.evidence for v in verdicts if v.evidence is not None]
    if not tested:
        return tuple(verdicts)
    retained = iter(_adjusted([t.retained for t in tested], method))
    lost = iter(_adjusted([t.lost for t in tested], method))
    return tuple(
        v
        if v.evidence is None
        else replace(
            v, correction=Correction(family, method, len(tested), next(retained), next(lost))
        )
        for v in verdicts
    )


def _adjusted(p: Sequence[float], method: Method) -> list[float]:
    """Corrected p values, in the order given."""
    return [float(x) for x in multipletests(p, ALPHA, method=_METHODS[method])[1]]
