"""Table 2: what is recalled of the edited facts (sections 5.1 and 5.2)."""

from __future__ import annotations

from collections.abc import Iterator

from editsuite.verdicts.findings.estimate import minus, shown
from editsuite.verdicts.findings.outcome import (
    GAP,
    MARGIN,
    Finding,
    Outcome,
    Part,
    Verdict,
    at_least,
    below,
    borne_out,
    every,
    more,
)
from editsuite.verdicts.findings.reading import Reading, Readings
from editsuite.verdicts.findings.states import MANY, MODIFYING, after, most

KINDS = ("reliability", "generalization")
#: Fewer facts say little: one is recalled or not.
FEW = 10


def _ends(readings: Readings) -> tuple[Reading, Reading] | None:
    """The readings after the fewest edits (ten or more, and not yet many) and after the most."""
    counts = [n for n in readings.values("edits") if isinstance(n, int) and n >= FEW]
    if not counts or counts[0] >= MANY or counts[-1] < MANY:
        return None
    first, last = readings.of(edits=counts[0]).sole, readings.of(edits=counts[-1]).sole
    return (first, last) if first and last else None


def _between(first: Reading, last: Reading) -> str:
    return f"{first.settings['edits']} to {last.settings['edits']} edits"


def sequential_recall_declines(readings: Readings) -> Outcome:
    """For each method and kind of recall."""
    return every(
        part
        for method in MODIFYING
        for kind in KINDS
        for part in _declines(readings.of(method=method, usual=1), method, kind)
    )


def _declines(own: Readings, method: str, kind: str) -> Iterator[Part]:
    """Against what was right just after each edit, and over edits; a surer look than the ends."""
    series = own.of(f"sequential_{kind}")
    edits = most(series.values("edits"))
    last = series.of(edits=edits).sole if edits is not None else None
    if edits is None or last is None:
        return
    each, ends = own.of(f"individual_{kind}", edits=edits).sole, _ends(series)
    words = [f"{shown(last)} after {after(edits)}"]
    verdicts: list[Verdict] = []
    if each is not None:
        words.append(f"right after each edit {shown(each)}")
        verdicts.append(more(minus(each, last), GAP))
    if ends is not None:
        words.append(f"{shown(ends[0])} after {ends[0].settings['edits']}")
        fallen = more(minus(*ends), GAP)
        risen = minus(ends[1], ends[0]).low > 0
        verdicts.append("fails" if risen else fallen if not verdicts else "undecided")
        if fallen == "holds":
            verdicts.append("holds")
    if verdicts:
        name = f"{method}, {kind}, {after(edits)}"
        found = borne_out(Part(name, verdict, "") for verdict in verdicts)
        yield Part(name, found.verdict, "; ".join(words))


def individual_recall_holds(readings: Readings) -> Outcome:
    """Of ROME and MEMIT."""
    return every(_held(readings))


def _held(readings: Readings) -> Iterator[Part]:
    for method in ("rome", "memit"):
        for kind in KINDS:
            ends = _ends(readings.of(f"individual_{kind}", method=method, usual=1))
            if ends is not None:
                change = minus(ends[1], ends[0])
                words = f"{shown(ends[0])} to {shown(ends[1])}"
                name = f"{method}, {kind}, {_between(*ends)}"
                yield Part(name, at_least(change, -MARGIN), words)


def individual_recall_of_mend_falls(readings: Readings) -> Outcome:
    """Both kinds."""
    parts = []
    for kind in KINDS:
        ends = _ends(readings.of(f"individual_{kind}", method="mend", usual=1))
        if ends is not None:
            words = f"{shown(ends[0])} to {shown(ends[1])}"
            verdict = more(minus(*ends), MARGIN)
            parts.append(Part(f"{kind}, {_between(*ends)}", verdict, words))
    return every(parts)


def grace_recalls_and_does_not_generalise(readings: Readings) -> Outcome:
    """After 100 edits, at the usual layer and threshold."""
    state = readings.of(method="grace", edits=100, usual=1)
    reliability = state.of("sequential_reliability").sole
    generalization = state.of("sequential_generalization").sole
    if reliability is None or generalization is None:
        return every([])
    return every(
        [
            Part("reliability", at_least(reliability, 1 - MARGIN), shown(reliability)),
            Part("generalization", below(generalization, 0.5), shown(generalization)),
        ]
    )


FINDINGS = (
    Finding(
        "sequential-recall-declines",
        "Methods that change parameters forget earlier edits: sequential reliability and "
        "generalization decline.",
        "Table 2, section 5.1",
        "After the most edits recall of all facts is surely lower, and by 5 points or more, than "
        "that of each fact right after its edit, or than that after the fewest edits (10 to 19), "
        "and not surely higher than the latter; for each method and both kinds.",
        sequential_recall_declines,
    ),
    Finding(
        "individual-recall-holds",
        "ROME and MEMIT go on teaching: individual reliability and generalization stay.",
        "Table 2, section 5.1",
        "From the fewest edits (10 to 19) to the most the interval of the change lies above "
        "-0.1; for each method and both kinds.",
        individual_recall_holds,
    ),
    Finding(
        "individual-recall-of-mend-falls",
        "MEND stops teaching: its individual reliability and generalization fall.",
        "Table 2, section 5.1",
        "From the fewest edits (10 to 19) to the most surely lower, and by 10 points or more; "
        "both kinds.",
        individual_recall_of_mend_falls,
    ),
    Finding(
        "grace-recalls-only",
        "GRACE recalls the edited facts, and does not generalise to rephrased questions.",
        "Table 2, section 5.2",
        "After 100 edits reliability lies at 0.9 or above, and generalization below a half.",
        grace_recalls_and_does_not_generalise,
    ),
)
