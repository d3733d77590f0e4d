"""The catalogue of findings as a page, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from editsuite.verdicts.findings import Finding, Outcome, Verdict
from editsuite.verdicts.findings.agreement import Agreement
from editsuite.verdicts.findings.estimate import shown

#: What a verdict is called of a model; that a claim does not hold on it is no fault.
ON_A_MODEL: Mapping[Verdict, str] = {
    "holds": "reproduced",
    "fails": "not reproduced",
    "undecided": "undecided",
    "not observed": "not observed",
}
#: And of the paper itself.
ON_THE_PAPER: Mapping[Verdict, str] = {
    "holds": "holds",
    "fails": "fails",
    "undecided": "undecided",
    "not observed": "no numbers printed",
}
_HEAD = """# Findings

The claims of the paper (*Navigating the Dual Facets*), each a predicate over readings: numbers with
intervals, from the paper's own tables or from observations of any model. This page is generated:

```sh
editsuite findings --write docs/findings.md
```

- **On the paper** a finding holds, or fails where the paper's text and its tables disagree, or has
  no numbers: figures 3 to 10 print none. Intervals are those of the items of Table 6, or the
  printed rounding; see [the paper as data](paper.md).
- **On {model}** a finding is *reproduced* or *not reproduced*, by the committed
  [baselines](baselines.md). What is not reproduced is an observation, not a fault. What is
  expected is committed (`baselines/{model}/findings.json`); a change turns a check red, and
  `editsuite findings --accept` takes it for expected.
- **A run** judges them by all that its checks observed, at its end: what came out is listed under
  the table and, with the numbers, in `findings.txt` beside the report. A comparison that holds
  where it is expected to fail, or fails where it is expected to hold, turns the run red.
- *Undecided*: the intervals allow both. *Not observed*: what it takes was not looked at.
- *Surely* means that an interval of 95 % lies on one side. Intervals of differences and quotients
  join those of both numbers by squares and take them for independent. *The mean retention* is
  over the eight capabilities, or those that both states have. A layer's *depth* is 0 at the first
  layer and 1 at the last, so that models of different depth can be compared: up to 0.25 is
  shallow, from 0.6 on is deep. *The most edits* are 20 or more, or nothing is concluded.
"""


def page(
    findings: Sequence[Finding],
    on_paper: Mapping[str, Outcome],
    model: str,
    on_model: Mapping[str, Outcome],
) -> str:
    """The catalogue as Markdown.

    Args:
        findings: all.
        on_paper: what became of them on the paper's numbers.
        model: the other model's name.
        on_model: what became of them there.
    """
    lines = [
        _HEAD.format(model=model),
        f"| finding | on the paper | on {model} |",
        "| --- | --- | --- |",
    ]
    for one in findings:
        paper, here = on_paper[one.id].verdict, on_model[one.id].verdict
        lines.append(
            f"| [{one.id}](#{one.id}): {one.statement} | {ON_THE_PAPER[paper]} | "
            f"{ON_A_MODEL[here]} |"
        )
    for one in findings:
        lines += _section(one, on_paper[one.id], model, on_model[one.id])
    return "\n".join(lines) + "\n"


def _section(one: Finding, on_paper: Outcome, model: str, on_model: Outcome) -> Iterator[str]:
    yield from ("", f"## {one.id}", "", f"{one.statement} ({one.source})", "")
    yield f"- Told by: {one.test}"
    if one.remark:
        yield f"- Remark: {one.remark}"
    yield f"- On the paper ({one.model}): {ON_THE_PAPER[on_paper.verdict]}"
    yield from _parts(on_paper, ON_THE_PAPER)
    yield f"- On {model}: {ON_A_MODEL[on_model.verdict]}"
    yield from _parts(on_model, ON_A_MODEL)


def _parts(outcome: Outcome, names: Mapping[Verdict, str]) -> Iterator[str]:
    for part in outcome.parts:
        verdict = "not observed" if part.verdict == "not observed" else names[part.verdict]
        yield f"  - {part.name}: {verdict}; {part.words}"


def tally(outcomes: Mapping[str, Outcome]) -> str:
    """How many findings became what, in words."""
    verdicts = [outcome.verdict for outcome in outcomes.values()]
    return ", ".join(f"{verdicts.count(one)} {name}" for one, name in ON_A_MODEL.items())


def apart(several: Sequence[Agreement]) -> list[str]:
    """How many numbers of one of the paper's models agree with the paper's, and which do not."""
    if not several:
        return []
    agreeing = sum(one.agrees for one in several)
    lines = [f"of {len(several)} numbers that the paper has too, {agreeing} agree with it"]
    for one in several:
        if not one.agrees:
            lines.append(f"  {one.name}: {shown(one.found)}, the paper has {shown(one.printed)}")
    return lines
