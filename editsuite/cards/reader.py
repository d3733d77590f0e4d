"""Reading the YAML cards, and refusing the malformed ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import yaml

from editsuite.cards.card import ModelCard
from editsuite.cards.families import FAMILIES
from editsuite.errors import CardError, listing

#: Folder of the built-in cards, one YAML file a model.
BUILTIN_FOLDER: Final = Path(__file__).with_name("data")

_TEXT = ("name", "source", "architecture")
_OPTIONAL_TEXT = ("revision", "embedded", "license")
_COUNTS = ("n_layers", "hidden_size", "context_length", "vocab_size", "parameters")
_REQUIRED = (*_TEXT, *_COUNTS, "layers")
_KEYS = tuple(entry.name for entry in fields(ModelCard))


def read_card(path: Path) -> ModelCard:
    """Read and validate one card.

    Args:
        path: A YAML file whose stem is the card's name.

    Returns:
        The card.

    Raises:
        CardError: If the file cannot be read, is not a mapping, lacks a key, has an unknown
            one, or a value has a wrong type or cannot be. The message names file, key and mend.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CardError(f"card {path}: no such file; known cards are in {path.parent}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CardError(f"card {path}: not readable as YAML ({error}); mend the file") from error
    return parse_card(raw, str(path), stem=path.stem)


def parse_card(raw: object, place: str, *, stem: str | None = None) -> ModelCard:
    """Validate the content of a card.

    Args:
        raw: What the YAML reader gave.
        place: Where it came from, for messages.
        stem: The name that the card must carry; None to accept any.

    Returns:
        The card.

    Raises:
        CardError: As `read_card`.
    """
    if not isinstance(raw, Mapping):
        raise CardError(f"card {place}: not a mapping of keys to values; write 'key: value' lines")
    _check_keys(raw, place)
    values: dict[str, Any] = {key: _text(raw, key, place) for key in _TEXT}
    values |= {key: _optional_text(raw, key, place) for key in _OPTIONAL_TEXT}
    values |= {key: _count(raw, key, place) for key in _COUNTS}
    values["gated"] = _flag(raw, "gated", place)
    values["notes"] = _optional_text(raw, "notes", place) or ""
    if values["architecture"] not in FAMILIES:
        raise _bad(place, "architecture", values["architecture"], f"use one of {listing(FAMILIES)}")
    if stem is not None and values["name"] != stem:
        raise _bad(place, "name", values["name"], f"must equal the file's name, {stem!r}")
    values["layers"] = _layers(raw["layers"], place, values["n_layers"])
    values["hyperparameters"] = _hyperparameters(raw.get("hyperparameters"), place)
    return ModelCard(**values)


def _bad(place: str, key: str, value: object, mend: str) -> CardError:
    return CardError(f"card {place}: key {key!r} has the value {value!r}; {mend}")


def _check_keys(raw: Mapping[object, object], place: str) -> None:
    for key in raw:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            guess = f"did you mean {near[0]!r}?" if near else f"known keys: {listing(_KEYS)}"
            raise CardError(f"card {place}: unknown key {key!r}; {guess}")
    for key in _REQUIRED:
        if key not in raw:
            raise CardError(f"card {place}: key {key!r} is missing; add a line '{key}: ...'")


def _text(raw: Mapping[object, object], key: str, place: str) -> str:
    value = raw[key]
    if not isinstance(value, str) or not value.strip():
        raise _bad(place, key, value, "write a non-empty text")
    return value


def _optional_text(raw: Mapping[object, object], key: str, place: str) -> str | None:
    value = raw.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _bad(place, key, value, "write a text (in quotes if it looks like a number) or null")
    return value


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(raw: Mapping[object, object], key: str, place: str) -> int:
    value = raw[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _bad(place, key, value, "write a whole number above 0")
    return value


def _flag(raw: Mapping[object, object], key: str, place: str) -> bool:
    value = raw.get(key, False)
    if not isinstance(value, bool):
        raise _bad(place, key, value, "write true or false")
    return value


def _layers(raw: object, place: str, n_layers: int) -> dict[str, tuple[int, ...]]:
    if not isinstance(raw, Mapping) or not raw:
        raise _bad(place, "layers", raw, "write a mapping such as 'rome: [5]'")
    layers: dict[str, tuple[int, ...]] = {}
    for editor, numbers in raw.items():
        key = f"layers.{editor}"
        if not isinstance(editor, str):
            raise _bad(place, key, numbers, "the editor's name must be a text")
        if not isinstance(numbers, list) or not numbers or not all(map(_is_count, numbers)):
            raise _bad(place, key, numbers, "write a list of whole numbers such as [5]")
        if min(numbers) < 0 or max(numbers) >= n_layers:
            mend = f"the model has {n_layers} layers, counted from 0 to {n_layers - 1}"
            raise _bad(place, key, numbers, mend)
        if sorted(set(numbers)) != numbers:
            raise _bad(place, key, numbers, "write each layer once, in ascending order")
        layers[editor] = tuple(numbers)
    return layers


def _hyperparameters(raw: object, place: str) -> dict[str, dict[str, object]]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise _bad(place, "hyperparameters", raw, "write a mapping from editors to settings")
    result: dict[str, dict[str, object]] = {}
    for editor, settings in raw.items():
        if not isinstance(editor, str) or not isinstance(settings, Mapping):
            key = f"hyperparameters.{editor}"
            raise _bad(place, key, settings, "write a mapping from names to values")
        for name, value in settings.items():
            _check_setting(place, f"hyperparameters.{editor}.{name}", name, value)
        result[editor] = dict(settings)
    return result


def _check_setting(place: str, key: str, name: object, value: object) -> None:
    if not isinstance(name, str):
        raise _bad(place, key, value, "the setting's name must be a text")
    if value is None or not isinstance(value, bool | int | float | str | list):
        raise _bad(place, key, value, "write a number, a text, true, false or a list")
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise _bad(place, key, value, "write a finite number")
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return
        # YAML 1.1 reads 1e-3 as a text; left alone it would fail deep inside an editor.
        raise _bad(place, key, value, f"a number in quotes or without a point: write {number!r}")
