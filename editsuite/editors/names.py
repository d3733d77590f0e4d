"""The methods' names, known before anything that imports torch is imported."""

from __future__ import annotations

from collections.abc import Mapping

METHOD_HELP: Mapping[str, str] = {
    "rome": "ROME (Meng et al. 2022), with the covariance constraint",
    "rome_noc": "ROME without the covariance constraint (paper D.1)",
    "r_rome": "r-ROME: ROME with the averaged key in numerator and denominator",
    "ft_l": "FT-L: fine-tuning of one down projection under a bound on every entry's change",
}
