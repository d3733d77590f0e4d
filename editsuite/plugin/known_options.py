"""All ``--edit-*`` options that take a value."""

from __future__ import annotations

from dataclasses import dataclass

from editsuite.cards.default import DEFAULT_MODEL
from editsuite.runs.settings import DTYPES, TIERS


@dataclass(frozen=True)
class Option:
    """One option; ``--edit-NAME`` on the command line, ``edit_NAME`` in the ini file."""

    name: str
    metavar: str
    default: str
    help: str


OPTIONS = (
    Option(
        "preset",
        "NAME",
        "",
        "what the paper ran for one of its tables or figures: table-1 to table-14, figure-3 to "
        "figure-10; scaled to the model, and options on the command line win",
    ),
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
