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
DEFAULT_MODEL = "smollm2-135m-instruct"

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
    from editsuite.cards import cache_root
    from editsuite.facts import parse_seed
    from editsuite.measures.capabilities.choice import Choice, parse_drawing, parse_items
    from editsuite.measures.texts import BUILTIN, TextChoice
    from editsuite.runs import settings as parsing

    def text(name: str, default: str) -> str:
        value = given.get(name)
        return default if value is None else str(value)

    dtype = text("dtype", "float32")
    if dtype not in parsing.DTYPES:
        raise OptionError(f"--edit-dtype is {dtype!r}; it can be {listing(parsing.DTYPES)}")
    tier = parsing.tier_counts(text("tier", "standard"))
    counts, layers = text("counts", ""), text("layers", "")
    temperature, _ = parse_drawing(text("temperature", "0"), "1")
    data = given.get("data")
    return parsing.RunSettings(
        model=model,
        facts=text("facts", "builtin"),
        counts=parsing.parse_counts(counts) if counts else tier,
        layers=parsing.parse_layers(layers) if layers else None,
        seed=parse_seed(text("seed", "0")),
        device=text("device", "auto"),
        dtype=dtype,
        cache=cache_root(cache),
        batches=parsing.parse_batches(text("batch-size", "1")),
        hyperparameters=parsing.parse_overrides(text("set", "")),
        capabilities=Choice(
            data=Path(data) if data else None,
            items=parse_items(text("items", "100")),
            temperature=temperature,
        ),
        texts=TextChoice(
            text("texts", BUILTIN), parse_items(text("text-items", "100"), "--edit-text-items")
        ),
        judge=text("judge", ""),
    )


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
