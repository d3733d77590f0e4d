"""The facts written for this project, and the generated ones that follow them."""

from __future__ import annotations

from importlib.resources import files

from editsuite.errors import FactError
from editsuite.facts.factset import FactSet
from editsuite.facts.form import OWN
from editsuite.facts.generator import generate_facts
from editsuite.facts.policy import OnBad, collect
from editsuite.facts.records import parse_lines

TOTAL = 2000
"""Hand-written and generated facts together: the longest chain the built-in set allows."""


def builtin_facts(on_bad: OnBad = "refuse") -> FactSet:
    """Read every `builtin-*.jsonl` of the package, and generate facts up to `TOTAL`.

    `requests` are the hand-written facts; `tail` are generated ones about other subjects.

    Raises:
        FactError: the package's data are missing or spoilt.
    """
    folder = files("editsuite.facts").joinpath("data")
    names = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name.startswith("builtin-") and entry.name.endswith(".jsonl")
    )
    if not names:
        raise FactError(
            f"{folder}: no builtin-*.jsonl there; the installation is incomplete, install again"
        )
    records = [
        record
        for name in names
        for record in parse_lines(folder.joinpath(name).read_text(encoding="utf-8"), name)
    ]
    written = collect("builtin", ", ".join(names), records, OWN.build, on_bad)
    taken = frozenset(request.subject for request in written.requests)
    tail = generate_facts(max(0, TOTAL - len(written)), taken=taken)
    return FactSet.of(
        "builtin",
        written.requests,
        source="built into editsuite",
        rejected=written.rejected,
        tail=tail,
    )
