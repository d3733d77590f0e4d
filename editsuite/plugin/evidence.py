"""Committed baselines as evidence: what findings are judged by without running a model.

A baseline keeps a number, its items and its tolerance, and no interval. That of a share follows
from the number and its items; that of a retention from the score, what was lost and what was won.
Of the others the tolerance is what is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from editsuite.cards import ModelCard, resolve_card
from editsuite.errors import BaselineError
from editsuite.measures.observation import Observation, share
from editsuite.measures.paired import retention
from editsuite.plugin.baseline_file import number, read_file
from editsuite.plugin.baseline_places import digest_of
from editsuite.plugin.place import THRESHOLDS, Place
from editsuite.verdicts.findings import partners
from editsuite.verdicts.findings.observed import read
from editsuite.verdicts.findings.quantities import is_of_capability
from editsuite.verdicts.findings.reading import Reading, Readings

#: GRACE's thresholds in Table 7; a file's name has a digest of what was set.
SET = (1, 5, 10, 20)
#: A chain's file: layers, batch, another seed or hyperparameter, and what was asked and read where
#: that is not what is built in.
_NAME = re.compile(
    r"L(?P<layer>\d+(?:-\d+)*)(?:\.b(?P<batch>\d+))?"
    r"(?:\.builtin-[0-9a-f]{8}\.s(?P<seed>\d+)\.float32(?:\.set-(?P<set>[0-9a-f]{8}))?)?"
    r"(?:\.(?P<asked>probe|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.items\w+)"
    r"\.t(?P<temperature>\d+(?:-\d+)?)x\d+)?"
    r"(?:\.texts-[0-9a-f]{8}-n\d+)?(?:\.questions-[0-9a-f]{8}-n\d+)?(?:\.judge-[\w-]+)?",
    re.ASCII,
)
_COUNT = re.compile(r"-n(\d+)\]$", re.ASCII)


def committed(folder: Path, card: ModelCard) -> Readings:
    """The readings of a model's committed baselines.

    Only files of the built-in facts in float32 count, with the card's own hyperparameters or one
    of Table 7's thresholds: of the others the name does not tell the settings. Where the paper's
    benchmarks were asked, probes do not count: the two are not to be compared.

    Args:
        folder: of all baselines.
        card: the model's.

    Raises:
        BaselineError: the model has no baselines there, or a file is damaged.
    """
    files = sorted((folder / card.name).glob("*/*.json"))
    if not files:
        raise BaselineError(
            f"there are no baselines of {card.name} in {folder}; choose another folder with "
            "--edit-baselines, or write them with pytest --edit-model NAME --snapshot-update"
        )
    asked: dict[bool, list[Reading]] = {False: [], True: []}
    rest = []
    for file in files:
        told = _told(file, card)
        if told is None:
            continue
        place, benchmark = told
        for one in _of_file(file, place, card.n_layers):
            if is_of_capability(one.quantity):
                asked[benchmark].append(with_asked(one) if benchmark else one)
            else:
                rest.append(one)
    return Readings.of_all([*(asked[True] or asked[False]), *rest])


def with_asked(one: Reading) -> Reading:
    """The reading, marked as a score of the paper's benchmark."""
    return replace(one, settings={**one.settings, "asked": "benchmark"})


def _told(file: Path, card: ModelCard) -> tuple[Place, bool] | None:
    """A chain's settings by its file's name, and whether benchmarks were asked; None: untold."""
    match = _NAME.fullmatch(file.stem)
    if match is None:
        return None
    method = file.parent.name
    given = _set(match["set"], method) if match["set"] else {}
    if given is None:
        return None
    layers = tuple(map(int, match["layer"].split("-")))
    temperature = float((match["temperature"] or "0").replace("-", "."))
    seed = match["seed"] or "0"
    place = Place(
        *(card, method, layers, int(match["batch"] or 1)),
        hyperparameters=given,
        temperature=temperature,
        sample=seed,
        usual=seed == "0",
    )
    return place, match["asked"] not in (None, "probe")


def _set(digest: str, method: str) -> dict[str, object] | None:
    """The threshold whose digest that is, of those the paper sets; None: something else was set."""
    name = THRESHOLDS.get(method)
    for threshold in SET if name else ():
        for value in (threshold, float(threshold)):
            if digest_of({str(name): value}) == digest:
                return {str(name): value}
    return None


def _of_file(file: Path, place: Place, n_layers: int) -> Iterator[Reading]:
    for name, group in read_file(file).items():
        count = _COUNT.search(name)
        if count is not None:
            seen = observations(group["observations"], file)
            source = f"{file.parent.name}/{file.name}"
            yield from read(seen, place.settings(int(count[1])), n_layers, source)


def observations(held: Mapping[str, Any], file: Path) -> Iterator[Observation]:
    """A group's numbers as observations.

    Raises:
        BaselineError: a number has no items or no unit.
    """
    for name, entry in held.items():
        try:
            value, n = number(entry["value"]), int(entry["n"])
            unit, room = str(entry["unit"]), number(entry["tolerance"])
        except (KeyError, TypeError, ValueError) as error:
            raise BaselineError(
                f"{file}: {name} lacks {error}; restore the file from version control"
            ) from error
        stem, _, last = name.rpartition(".")
        parts = [held.get(f"{stem}.{part}") for part in ("score", "lost", "won")]
        if unit == "share":
            yield replace(share(name, _shares(value, n)), value=value)
        elif last == "retention" and all(part is not None for part in parts):
            score, lost, won = (number(part["value"]) for part in parts if part is not None)
            found = retention(name, *pairs(score, lost, won, n))
            yield replace(found, value=value)
        else:
            low, high = value - room, value + room
            yield Observation(name, value, n, unit, low, high, "tolerance")


def _shares(mean: float, n: int) -> list[float]:
    """Scores with that mean: whole ones, and one between."""
    return [min(1.0, max(0.0, mean * n - i)) for i in range(n)]


def pairs(score: float, lost: float, won: float, n: int) -> tuple[list[float], list[float]]:
    """Scores before and after with these means of the score, the loss and the gain.

    For items that are right or wrong there is one such table, and its interval is that of the
    items. Where items are scored between, none of the same means varies more than whole changes
    do, so the interval is no narrower than it should be.
    """
    both, out, into = n * (score - won), n * lost, n * won
    before, after = [], []
    for i in range(n):
        before.append(_covered(i, 0, both + out))
        after.append(_covered(i, 0, both) + _covered(i, both + out, both + out + into))
    return before, after


def _covered(item: int, start: float, end: float) -> float:
    """How much of an item, one long, lies between two marks."""
    return max(0.0, min(item + 1.0, end) - max(float(item), start))


def evidence(folder: Path, card: ModelCard) -> Readings:
    """The committed readings of a model, and of the models that findings compare it with.

    Raises:
        BaselineError: the model has no baselines there, or a file is damaged.
    """
    found = committed(folder, card)
    for name in partners(card.name):
        if (folder / name).is_dir():
            found += committed(folder, resolve_card(name))
    return found
