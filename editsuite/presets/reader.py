"""Presets from their file: every key is known, every value is one that a run can have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from editsuite.cards import known_cards
from editsuite.editors.names import METHOD_HELP
from editsuite.errors import OptionError, listing
from editsuite.facts import parse_seed
from editsuite.presets.preset import Part, Place, Preset

FILE = Path(__file__).parent / "data" / "presets.yaml"
_PRESET = ("title", "source", "models", "parts", "describes", "untold", "facts")
_PART = ("models", "methods", "layers", "counts", "batches", "temperatures", "seeds", "set", "sets")


def known_presets() -> tuple[str, ...]:
    """Names of the presets, tables first, in the paper's order."""
    return tuple(_read(FILE))


def read_preset(name: str, file: Path = FILE) -> Preset:
    """A preset by its name.

    Args:
        name: ``table-1`` to ``table-14``, ``figure-3`` to ``figure-10``.
        file: where it stands.

    Raises:
        OptionError: there is none of that name, or its entry in the file is malformed.
    """
    presets = _read(file)
    if name not in presets:
        raise OptionError(
            f"--edit-preset is {name!r}; it can be {', '.join(presets)} (Figures 1 and 2 of the "
            "paper are drawings)"
        )
    return _preset(name, presets[name], f"{file}: {name}")


@cache
def _read(file: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OptionError(f"{file}: not readable as presets ({error}); mend the file") from error
    if not isinstance(found, dict):
        raise OptionError(f"{file}: holds no presets by name; mend the file")
    return found


def _preset(name: str, raw: Any, place: str) -> Preset:
    _check_keys(raw, (*_PRESET,), ("title", "source"), place)
    models = _words(raw.get("models", []), f"{place}: models", known_cards())
    parts = raw.get("parts", [])
    if not isinstance(parts, list) or bool(parts) == bool(raw.get("describes")):
        raise OptionError(f"{place}: give a list of parts to run, or what it describes, not both")
    return Preset(
        name,
        str(raw["title"]),
        str(raw["source"]),
        models,
        tuple(_part(part, models, f"{place}, part {i}") for i, part in enumerate(parts, 1)),
        str(raw.get("describes", "")),
        str(raw.get("untold", "")),
        str(raw.get("facts", "zsre")),
    )


def _part(raw: Any, models: tuple[str, ...], place: str) -> Part:
    _check_keys(raw, (*_PART, "measures"), ("methods", "counts", "measures"), place)
    places, spans = _places(raw.get("layers", []), f"{place}: layers")
    sets = raw.get("sets", [raw.get("set", {})])
    if not isinstance(sets, list) or not all(isinstance(one, dict) for one in sets) or not sets:
        raise OptionError(f"{place}: sets are no list of hyperparameters by METHOD.NAME")
    own = _words(raw.get("models", list(models)), f"{place}: models", models)
    if not own:
        raise OptionError(f"{place}: names no model; name one under models")
    seeds = tuple(map(str, _list(raw.get("seeds", ["0"]), f"{place}: seeds")))
    for seed in seeds:
        parse_seed(seed)
    return Part(
        models=own,
        methods=_words(raw["methods"], f"{place}: methods", METHOD_HELP),
        counts=_counts(raw["counts"], f"{place}: counts"),
        measures=tuple(map(str, _list(raw["measures"], f"{place}: measures"))),
        places=places,
        spans=spans,
        batches=_counts(raw.get("batches", [1]), f"{place}: batches"),
        temperatures=_temperatures(raw.get("temperatures", [0]), f"{place}: temperatures"),
        seeds=seeds,
        sets=tuple(sets),
    )


def _check_keys(raw: Any, known: Sequence[str], needed: Sequence[str], place: str) -> None:
    if not isinstance(raw, dict):
        raise OptionError(f"{place}: is no mapping; write its keys, {listing(known)}")
    missing, foreign = set(needed) - set(raw), set(raw) - set(known)
    if missing or foreign:
        raise OptionError(
            f"{place}: keys missing: {listing(missing)}; unknown: {listing(foreign)}; known are "
            f"{listing(known)}"
        )


def _list(raw: Any, place: str) -> list[Any]:
    if not isinstance(raw, list) or not raw:
        raise OptionError(f"{place}: is {raw!r}; write a list with one entry or more")
    return raw


def _words(raw: Any, place: str, known: Sequence[str] | Mapping[str, str]) -> tuple[str, ...]:
    words = tuple(_list(raw, place)) if raw else ()
    if unknown := [word for word in words if word not in known]:
        raise OptionError(f"{place}: unknown: {listing(unknown)}; known are {listing(known)}")
    return words


def _counts(raw: Any, place: str) -> tuple[int, ...]:
    found = _list(raw, place)
    if not all(type(n) is int and n > 0 for n in found) or found != sorted(set(found)):
        raise OptionError(f"{place}: is {raw!r}; write whole numbers from 1, ascending")
    return tuple(found)


def _temperatures(raw: Any, place: str) -> tuple[float, ...]:
    found = _list(raw, place)
    if not all(type(t) in (int, float) and 0 <= t < math.inf for t in found):
        raise OptionError(f"{place}: is {raw!r}; write temperatures from 0")
    return tuple(float(t) for t in found)


def _places(raw: Any, place: str) -> tuple[tuple[Place, ...], bool]:
    """Layers of each chain, and whether they are runs of layers."""
    if raw == []:
        return ((),), False
    found = _list(raw, place)
    if all(type(layer) is int and layer >= 0 for layer in found):
        return tuple((layer,) for layer in found), False
    if all(_is_run(run) for run in found):
        return tuple(tuple(run) for run in found), True
    raise OptionError(f"{place}: is {raw!r}; write layers from 0, or runs of consecutive layers")


def _is_run(raw: Any) -> bool:
    """Whether it is a list of consecutive layers."""
    if not isinstance(raw, list) or not raw or not all(type(n) is int and n >= 0 for n in raw):
        return False
    return raw == list(range(raw[0], raw[-1] + 1))
