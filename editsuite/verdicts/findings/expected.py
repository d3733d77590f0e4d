"""What is expected to become of each finding on a model: committed, so that a change is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from editsuite.errors import BaselineError
from editsuite.files import write_text_atomically
from editsuite.verdicts.findings.outcome import Outcome, Part, Verdict

SCHEMA = 1
#: What a file of expectations is called, beside a model's baselines.
FILE = "findings.json"


def write_expected(file: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write what became of the findings as what is expected from now on."""
    held = {
        name: {
            "outcome": outcome.verdict,
            "parts": {part.name: part.verdict for part in outcome.parts},
        }
        for name, outcome in outcomes.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": SCHEMA, "findings": held}, indent=1)
    write_text_atomically(file, text + "\n")


def read_expected(file: Path) -> dict[str, Outcome]:
    """Read what is expected; the parts have no numbers.

    Raises:
        BaselineError: there is no such file, or it is damaged.
    """
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        if held["schema"] != SCHEMA:
            raise ValueError(f"its schema is {held['schema']!r}, known is {SCHEMA}")
        return {name: _outcome(one) for name, one in held["findings"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaselineError(
            f"{file}: cannot be read as the expected outcomes of findings "
            f"({type(error).__name__}: {error}); restore it from version control, or write it "
            "anew with editsuite findings --accept"
        ) from error


def _outcome(held: Mapping[str, Any]) -> Outcome:
    parts = tuple(Part(name, _verdict(one), "") for name, one in held["parts"].items())
    return Outcome(_verdict(held["outcome"]), parts)


def _verdict(text: object) -> Verdict:
    for known in get_args(Verdict):
        if text == known:
            verdict: Verdict = known
            return verdict
    raise ValueError(f"{text!r} is none of {', '.join(get_args(Verdict))}")


def changes(expected: Mapping[str, Outcome], found: Mapping[str, Outcome]) -> tuple[str, ...]:
    """What has become otherwise, a line for each finding and part; empty: nothing."""
    lines = []
    for name in sorted({*expected, *found}):
        old, new = expected.get(name), found.get(name)
        if old is None or new is None:
            lines.append(f"{name}: {'is new' if old is None else 'is gone'}")
            continue
        if old.verdict != new.verdict:
            lines.append(f"{name}: {old.verdict} before, {new.verdict} now")
        lines += _of_parts(name, old, new)
    return tuple(lines)


def contradictions(
    expected: Mapping[str, Outcome], found: Mapping[str, Outcome]
) -> tuple[str, ...]:
    """What a run found otherwise in the comparisons that it could make; a line for each.

    A run of some layers and counts can make few of them. One that it cannot tell contradicts
    nothing.
    """
    lines = []
    for name in sorted({*expected} & {*found}):
        before = {part.name: part.verdict for part in expected[name].parts}
        for part in found[name].parts:
            pair = {part.verdict, before.get(part.name)}
            if pair == {"holds", "fails"}:
                lines.append(
                    f"{name}, {part.name}: {before[part.name]} is expected, {part.verdict} was "
                    f"found: {part.words}"
                )
    return tuple(lines)


def _of_parts(name: str, old: Outcome, new: Outcome) -> Iterator[str]:
    before = {part.name: part for part in old.parts}
    after = {part.name: part for part in new.parts}
    for one in sorted({*before, *after}):
        was = before[one].verdict if one in before else "not there"
        now = after[one].verdict if one in after else "not there"
        if was != now:
            words = f" ({after[one].words})" if one in after and after[one].words else ""
            yield f"{name}, {one}: {was} before, {now} now{words}"
