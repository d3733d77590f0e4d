"""Options that `plan` and `reproduce` share; they are called as pytest's and mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from editsuite.errors import OptionError, listing

if TYPE_CHECKING:
    from editsuite.presets import Expansion
    from editsuite.runs.settings import RunSettings

#: In place of a model: those that the paper ran.
PAPER = "paper"

ModelOption = Annotated[
    str,
    typer.Option(
        "--edit-model",
        metavar="NAME",
        help="Card, hub id or folder; paper: the models that the paper ran.",
    ),
]
FactsOption = Annotated[str | None, typer.Option("--edit-facts", metavar="SOURCE")]
TierOption = Annotated[str | None, typer.Option("--edit-tier", metavar="TIER")]
CountsOption = Annotated[str | None, typer.Option("--edit-counts", metavar="N,N,...")]
LayersOption = Annotated[str | None, typer.Option("--edit-layers", metavar="L,L,...")]
BatchOption = Annotated[str | None, typer.Option("--edit-batch-size", metavar="N,N,...")]
MethodsOption = Annotated[str | None, typer.Option("--edit-methods", metavar="M,M,...")]
SetOption = Annotated[str | None, typer.Option("--edit-set", metavar="METHOD.NAME=VALUE ...")]
SeedOption = Annotated[str | None, typer.Option("--edit-seed", metavar="SEED")]
DataOption = Annotated[Path | None, typer.Option("--edit-data", metavar="DIR")]
ItemsOption = Annotated[str | None, typer.Option("--edit-items", metavar="N")]
TextsOption = Annotated[str | None, typer.Option("--edit-texts", metavar="SOURCE")]
TextItemsOption = Annotated[str | None, typer.Option("--edit-text-items", metavar="N")]
JudgeOption = Annotated[str, typer.Option("--edit-judge", metavar="NAME")]
TemperatureOption = Annotated[str | None, typer.Option("--edit-temperature", metavar="T")]
RepeatsOption = Annotated[str, typer.Option("--edit-repeats", metavar="N")]
DtypeOption = Annotated[str, typer.Option("--edit-dtype", metavar="DTYPE")]
DeviceOption = Annotated[str, typer.Option("--edit-device", metavar="DEVICE")]
CacheOption = Annotated[Path | None, typer.Option("--edit-cache", metavar="DIR")]


def settings_of(
    model: str, given: Mapping[str, str | Path | None], cache: Path | None
) -> RunSettings:
    """The settings that options ask for, with pytest's defaults for the others.

    Args:
        model: card, hub id or folder.
        given: values by the options' names without ``--edit-``; None: not given.
        cache: the cache folder; None: the usual one.

    Raises:
        OptionError: an impossible value.
    """
    from editsuite.plugin import options
    from editsuite.plugin.known_options import OPTIONS

    defaults = {option.name: option.default for option in OPTIONS}
    here = {**given, "model": model, "cache": cache}

    def value(name: str) -> str:
        found = here.get(name)
        return defaults[name] if found is None else str(found).strip()

    return options.settings_of(value)


def expansions(
    preset: str,
    model: str,
    given: Mapping[str, str | Path | None],
    repeats: str,
    cache: Path | None,
) -> list[Expansion]:
    """A preset on one model, or on each of those that the paper ran.

    Args:
        preset: its name.
        model: card, hub id, folder, or ``paper``.
        given: values by the options' names without ``--edit-``; None: not given.
        repeats: draws of each item.
        cache: the cache folder; None: the usual one.

    Raises:
        EditsuiteError: there is no such preset or model, or a value is impossible.
    """
    from editsuite.measures.capabilities.choice import parse_drawing
    from editsuite.presets import expand, read_preset

    wanted = read_preset(preset)
    wanted.check_runs()
    apart = ("methods", "tier", "device", "dtype", "judge")
    explicit = {name for name, value in given.items() if value is not None} - {*apart}
    chosen = methods_of(given.get("methods"))
    tier = given.get("tier")
    return [
        expand(
            wanted,
            settings_of(name, given, cache),
            explicit=explicit,
            methods=chosen,
            tier=None if tier is None else str(tier),
            repeats=parse_drawing("1", repeats)[1],
        )
        for name in (wanted.models if model == PAPER else (model,))
    ]


def methods_of(text: str | Path | None) -> tuple[str, ...]:
    """Read ``rome,memit``.

    Raises:
        OptionError: one is unknown.
    """
    from editsuite.editors.names import METHOD_HELP

    names = tuple(dict.fromkeys(word.strip() for word in str(text).split(","))) if text else ()
    if unknown := set(names) - {*METHOD_HELP}:
        raise OptionError(
            f"--edit-methods names {listing(map(repr, unknown))}; known are {listing(METHOD_HELP)}"
        )
    return names


def told_lines(expanded: Sequence[Expansion]) -> list[str]:
    """What is otherwise than in the paper, each sentence once."""
    return list(dict.fromkeys(text for one in expanded for text in one.told))
