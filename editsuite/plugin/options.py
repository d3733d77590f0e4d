"""The ``--edit-*`` options and their ini keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
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
from editsuite.runs.settings import (
    DTYPES,
    TIERS,
    RunSettings,
    parse_batches,
    parse_counts,
    parse_layers,
    parse_overrides,
    tier_counts,
)

DEFAULT_MODEL = "smollm2-135m-instruct"
#: The words of ``--edit-device``; whether the machine has it is seen later.
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True)
class Option:
    """One option; ``--edit-NAME`` on the command line, ``edit_NAME`` in the ini file."""

    name: str
    metavar: str
    default: str
    help: str


OPTIONS = (
    Option(
        "model", "NAME", DEFAULT_MODEL, "card name, hub id or local folder of the model to edit"
    ),
    Option(
        "facts",
        "SOURCE",
        "builtin",
        "what to teach: builtin, zsre:PATH, counterfact:PATH, zsre or counterfact (from the hub), "
        "or a .json/.jsonl file",
    ),
    Option("tier", "TIER", "standard", f"how far to go: {', '.join(TIERS)}"),
    Option("counts", "N,N,...", "", "numbers of edits to observe at; overrides the tier's"),
    Option(
        "layers",
        "L,L,...",
        "",
        "layers to edit (default: the card's): one chain each, or all in one chain for methods "
        "that spread an edit over layers",
    ),
    Option(
        "batch-size",
        "N,N,...",
        "1",
        "facts of one edit, one chain for each size; only for methods that edit in batches",
    ),
    Option("methods", "M,M,...", "", "methods to check (default: those that -m names, else rome)"),
    Option(
        "set",
        "METHOD.NAME=VALUE ...",
        "",
        "hyperparameters over the card's, separated by blanks: grace.eps=5 for one method, "
        "v_lr=0.1 for all of the run",
    ),
    Option(
        "backend",
        "NAME",
        "native",
        "whose code edits: native, or easyedit (a checkout named by EASYEDIT_HOME, or an installed "
        "easyeditor); the marker easyedit chooses it as well",
    ),
    Option("seed", "SEED", "0", "seed of fact order and context prefixes: a number, or a b c d"),
    Option("device", "DEVICE", "auto", "auto, cpu, cuda, cuda:N or mps"),
    Option("dtype", "DTYPE", "float32", f"dtype of the weights: {', '.join(DTYPES)}"),
    Option("cache", "DIR", "", "where chains and models are kept (default: the platform's cache)"),
    Option(
        "data",
        "DIR",
        "",
        "folder with the capability benchmarks' original files, one folder for each, or hub; what "
        "is not there is left out by name (default: the built-in probes)",
    ),
    Option(
        "items",
        "N",
        "100",
        "items of each benchmark in --edit-data, or all; the same for every state",
    ),
    Option(
        "benchmarks",
        "NAME.MODE,...",
        "",
        "benchmarks to ask in another way than the paper's, such as mmlu.loglikelihood or "
        "bbh.generation",
    ),
    Option("temperature", "T", "0", "at which capability answers are drawn; 0: the likeliest"),
    Option("repeats", "N", "1", "draws of each capability item, each with a seed of its own"),
    Option("texts", "SOURCE", "builtin", "texts to read: builtin, wikitext:PATH, wikitext (hub)"),
    Option("text-items", "N", "100", "sequences of a --edit-texts that is not built in, or all"),
    Option("judge", "NAME", "", "model that judges answers (default: the edited one, unedited)"),
    Option("baselines", "DIR", "baselines", "folder of the baselines, from the root folder"),
    Option("reports", "DIR", "reports", "folder the report goes into, from the root folder"),
    Option(
        "missing-baseline",
        "WHAT",
        "auto",
        "a number without a baseline: fail, observe (report it and go on), or auto (fail for the "
        "built-in facts in float32 with seed 0, observe otherwise)",
    ),
)


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


def _choice(config: pytest.Config) -> Choice:
    data = value(config, "data")
    temperature, repeats = parse_drawing(value(config, "temperature"), value(config, "repeats"))
    return Choice(
        data=Path(data) if data else None,
        items=parse_items(value(config, "items")),
        benchmarks=parse_benchmarks(value(config, "benchmarks")),
        temperature=temperature,
        repeats=repeats,
    )


def read_settings(config: pytest.Config, space: str = "") -> RunSettings:
    """Read and check everything that can be checked without the model.

    Raises:
        OptionError: an unknown or impossible value; the message lists what is known.
    """
    dtype = value(config, "dtype")
    if dtype not in DTYPES:
        raise OptionError(f"--edit-dtype is {dtype!r}; it can be {listing(DTYPES)}")
    missing = value(config, "missing-baseline")
    if missing not in ("auto", "fail", "observe"):
        raise OptionError(
            f"--edit-missing-baseline is {missing!r}; it can be auto, fail or observe"
        )
    device = value(config, "device")
    if not DEVICE.fullmatch(device):
        raise OptionError(f"--edit-device is {device!r}; it can be auto, cpu, cuda, cuda:N or mps")
    tier = tier_counts(value(config, "tier"))
    counts, layers = value(config, "counts"), value(config, "layers")
    cache = value(config, "cache")
    return RunSettings(
        model=value(config, "model"),
        facts=value(config, "facts"),
        counts=parse_counts(counts) if counts else tier,
        layers=parse_layers(layers) if layers else None,
        seed=parse_seed(value(config, "seed")),
        device=device,
        dtype=dtype,
        cache=cache_root(Path(cache) if cache else None),
        space=space,
        batches=parse_batches(value(config, "batch-size")),
        capabilities=_choice(config),
        texts=TextChoice(
            value(config, "texts"), parse_items(value(config, "text-items"), "--edit-text-items")
        ),
        judge=value(config, "judge"),
        hyperparameters=parse_overrides(value(config, "set")),
    )
