"""The methods' names, known before anything that imports torch is imported."""

from __future__ import annotations

from collections.abc import Mapping

METHOD_HELP: Mapping[str, str] = {
    "rome": "ROME (Meng et al. 2022), with the covariance constraint",
    "rome_noc": "ROME without the covariance constraint (paper D.1)",
    "mend": "MEND (Mitchell et al. 2022), with a trained hypernetwork",
    "r_rome": "r-ROME: ROME with the averaged key in numerator and denominator",
}

#: Methods that may lack a file, and so are asked before a model is loaded (``ChecksEarly``).
NEED_FILES = frozenset({"mend"})
