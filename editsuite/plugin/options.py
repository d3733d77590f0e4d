"""The ``--edit-*`` options and their ini keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from editsuite.cards import cache_root
from editsuite.errors import OptionError, listing
from editsuite.facts import parse_seed
from editsuite.measures.capabilities.choice import (
    Choice,
    parse_benchmarks,
    parse_drawing,
    parse_items,
)
from editsuite.measures.texts import TextChoice
from editsuite.plugin.known_options import OPTIONS
from editsuite.runs.settings import (
    DTYPES,
    RunSettings,
    parse_batches,
    parse_counts,
    parse_layers,
    parse_overrides,
    tier_counts,
)

#: The words of ``--edit-device``; whether the machine has it is seen later.
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def add_options(parser: pytest.Parser) -> None:
    """Register options and ini keys."""
    group = parser.getgroup("editsuite", "editsuite: sequential memory editing")
    for option in OPTIONS:
        default = f" (default: {option.default})" if option.default else ""
        group.addoption(
            f"--edit-{option.name}",
            metavar=option.metavar,
            default=None,
            help=option.help + default + f" [ini: edit_{option.name.replace('-', '_')}]",
        )
        parser.addini(f"edit_{option.name.replace('-', '_')}", option.help, default=option.default)
    group.addoption(
        "--edit-verbose",
        action="store_true",
        help="say at the end what each process held in memory, by what it is for",
    )
    group.addoption(
        "--edit-remeasure",
        action="store_true",
        help="measure everything in this run, even what an earlier run kept; chains are reused",
    )


def value(config: pytest.Config, name: str) -> str:
    """An option's value: the command line's, else the ini file's, else the default."""
    key = name.replace("-", "_")
    given = config.getoption(f"edit_{key}")
    return str(given if given is not None else config.getini(f"edit_{key}")).strip()


def given(config: pytest.Config) -> bool:
    """Whether the command line or the ini file says anything to this plugin."""
    return any(value(config, option.name) != option.default for option in OPTIONS)


def read_settings(config: pytest.Config, space: str = "") -> RunSettings:
    """The settings that pytest's options and ini keys ask for; see `settings_of`."""
    return replace(settings_of(partial(value, config)), space=space)


def settings_of(value: Callable[[str], str]) -> RunSettings:
    """Read and check everything that can be checked without the model.

    Args:
        value: an option's value by its name without ``--edit-``.

    Raises:
        OptionError: an unknown or impossible value; the message lists what is known.
    """
    dtype = value("dtype")
    if dtype not in DTYPES:
        raise OptionError(f"--edit-dtype is {dtype!r}; it can be {listing(DTYPES)}")
    missing = value("missing-baseline")
    if missing not in ("auto", "fail", "observe"):
        raise OptionError(
            f"--edit-missing-baseline is {missing!r}; it can be auto, fail or observe"
        )
    device = value("device")
    if not DEVICE.fullmatch(device):
        raise OptionError(f"--edit-device is {device!r}; it can be auto, cpu, cuda, cuda:N or mps")
    tier = tier_counts(value("tier"))
    counts, layers, cache = value("counts"), value("layers"), value("cache")
    return RunSettings(
        model=value("model"),
        facts=value("facts"),
        counts=parse_counts(counts) if counts else tier,
        layers=parse_layers(layers) if layers else None,
        seed=parse_seed(value("seed")),
        device=device,
        dtype=dtype,
        cache=cache_root(Path(cache) if cache else None),
        batches=parse_batches(value("batch-size")),
        capabilities=_choice(value),
        texts=TextChoice(value("texts"), parse_items(value("text-items"), "--edit-text-items")),
        judge=value("judge"),
        hyperparameters=parse_overrides(value("set")),
    )


def _choice(value: Callable[[str], str]) -> Choice:
    data = value("data")
    # A preset has temperatures of its own, and repeats go with those above 0.
    times = "1" if value("preset") else value("repeats")
    temperature, repeats = parse_drawing(value("temperature"), times)
    return Choice(
        data=Path(data) if data else None,
        items=parse_items(value("items")),
        benchmarks=parse_benchmarks(value("benchmarks")),
        temperature=temperature,
        repeats=repeats,
    )
