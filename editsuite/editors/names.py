"""The methods' names, known before anything that imports torch is imported."""

from __future__ import annotations

from collections.abc import Mapping

METHOD_HELP: Mapping[str, str] = {
    "rome": "ROME (Meng et al. 2022), with the covariance constraint",
    "rome_noc": "ROME without the covariance constraint (paper D.1)",
    "mend": "MEND (Mitchell et al. 2022), with a trained hypernetwork",
    "r_rome": "r-ROME: ROME with the averaged key in numerator and denominator",
    "memit": "MEMIT (Meng et al. 2022b): batches of facts, spread over several layers",
    "alphaedit": "AlphaEdit (Fang et al. 2024): MEMIT in the null space of other knowledge",
    "grace": "GRACE (Hartvigsen et al. 2022): a codebook behind one layer, no weight changed",
    "ft_l": "FT-L: fine-tuning of one down projection under a bound on every entry's change",
}

#: Methods that may lack a file, and so are asked before a model is loaded (``ChecksEarly``).
NEED_FILES = frozenset({"mend"})
