"""Does the gate turn red? Editors spoilt on purpose against the honest methods' baselines.

    python -m benchmarks.study_power
    python -m benchmarks.study_power --only rome-sign,rome-no-kl --counts 1
    python -m benchmarks.study_power --page

Every editor of ``benchmarks.spoilt`` edits the default model in sequence through the suite's own
runs and is held against the committed baselines of the honest method, with their tolerances; the
honest editors run as well and must pass. Chains and looks are kept in the suite's cache, and the
record is written after every editor, so that a study that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.bench import DEFAULT_MODEL, DEFAULT_REPORTS, Model, Reports, start
from benchmarks.committed import DEFAULT_BASELINES, Baselines
from benchmarks.gate import SEEN_BY, Baseline, Check, baseline_of, chosen_checks, observe, values
from benchmarks.pool import in_processes
from benchmarks.power_page import PAGE, summary, write_page
from benchmarks.spoilt.entrant import Entrant
from benchmarks.spoilt.entrants import ENTRANTS, chosen
from benchmarks.spoilt.promises import broken
from editsuite.cards import cache_root
from editsuite.chains import requests_digest
from editsuite.code import code_digest
from editsuite.editors import Method
from editsuite.errors import EditError, OptionError
from editsuite.files import sha256_of, write_text_atomically
from editsuite.plugin.baseline_file import jsonable
from editsuite.runs import Case, Run, RunSettings, parse_counts
from editsuite.runs.opening import cases_of

RECORD = "power.json"


@dataclass(frozen=True)
class Asked:
    """What is asked of every editor.

    Attributes:
        settings: of its run.
        checks: the checks.
        baselines: folder of the baselines.
    """

    settings: RunSettings
    checks: tuple[Check, ...]
    baselines: Path


def run_of(entrant: Entrant, settings: RunSettings) -> tuple[Run, Case]:
    """The run of one editor, and its chain: the honest method's layers, its own name.

    The editor comes to the run the way all methods come, by name.
    """
    plain = Run(settings)
    method = entrant.method(plain.order)

    def named(name: str) -> Method:
        if name != method.name:
            raise OptionError(f"this run has the method {method.name} only, not {name}")
        return method

    (case,) = cases_of(settings, plain.card, method)
    return Run(replace(settings, methods=named)), case


def study(entrant: Entrant, asked: Asked) -> dict[str, Any]:
    """One editor after every count: which checks it fails, and which promises it breaks."""
    run, case = run_of(entrant, asked.settings)
    baseline = baseline_of(asked.baselines, run.card.name, entrant.base, case)
    counts = {
        str(edits): state(run, case, edits, entrant, baseline, asked.checks)
        for edits in asked.settings.counts
    }
    return {
        "name": entrant.name,
        "base": entrant.base,
        "beside": entrant.beside,
        "wrong": entrant.wrong,
        "by_default": entrant.by_default,
        "identity": {
            "model": run.card.name,
            "digest": run.stack.loaded.digest,
            "facts": requests_digest(run.order),
            "case": str(case),
            "version": entrant.method(run.order).version,
            "code": code_digest(SEEN_BY),
            "baselines": sha256_of(baseline.file),
        },
        "counts": counts,
    }


def state(
    run: Run,
    case: Case,
    edits: int,
    entrant: Entrant,
    baseline: Baseline,
    checks: Sequence[Check],
) -> dict[str, Any]:
    """One state: numbers outside their tolerances, by check.

    An editor that raises fails every check, as it would under pytest; what it said is kept.
    """
    held = baseline.only(checks, edits)
    try:
        observed = observe(run, case, edits, held)
    except (EditError, ArithmeticError, RuntimeError) as error:
        return {
            "held": [check.name for check in held],
            "failed": {check.name: [] for check in held},
            "broken": {},
            "error": f"{type(error).__name__}: {error}",
        }
    failed = {}
    for check in held:
        moved = [c for c in baseline.held(check, edits, observed) if c.outcome != "pass"]
        if moved:
            failed[check.name] = [
                {
                    "name": c.name,
                    "value": None if c.value is None else jsonable(c.value),
                    "baseline": None if c.expected is None else jsonable(c.expected.value),
                    "tolerance": None if c.expected is None else c.expected.tolerance,
                }
                for c in moved
            ]
    promises = broken(entrant.base, edits, values(observed))
    return {
        "held": [check.name for check in held],
        "failed": failed,
        "broken": {name: jsonable(value) for name, value in promises.items()},
        "error": None,
    }


def read_record(path: Path) -> dict[str, Any]:
    """What was found so far: editors by name."""
    if not path.exists():
        return {"entrants": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def keep(path: Path, found: Mapping[str, Any]) -> None:
    """Put one editor into the record, in the order of the list.

    What was found of it after other numbers of edits stays, as long as model, editor and
    baselines are the same.
    """
    entrants = read_record(path)["entrants"]
    old = entrants.get(found["name"], {})
    counts = old["counts"] if old.get("identity") == found["identity"] else {}
    entrants[found["name"]] = {**found, "counts": {**counts, **found["counts"]}}
    ordered = {name: entrants[name] for name in ENTRANTS if name in entrants}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, json.dumps({"entrants": ordered}, indent=1) + "\n")


def _work(asked: Asked, entrant: Entrant) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    return study(entrant, asked)


def said(found: Mapping[str, Any]) -> str:
    """An editor in one line: the checks that it fails, by number of edits."""
    parts = [
        f"{edits}: {', '.join(held['failed']) or 'passes'}"
        + (f" ({held['error']})" if held["error"] else "")
        for edits, held in found["counts"].items()
    ]
    return f"{found['name']}: {'; '.join(parts)}"


def main(
    model: Model = DEFAULT_MODEL,
    only: Annotated[str, typer.Option(help="editors by name; '' for all")] = "",
    counts: Annotated[str, typer.Option(help="numbers of edits")] = "1,10",
    checks: Annotated[str, typer.Option(help="checks by name; '' for all")] = "",
    capabilities: Annotated[bool, typer.Option(help="ask capabilities, too")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="editors at once, a process each")] = 1,
    baselines: Baselines = DEFAULT_BASELINES,
    reports: Reports = DEFAULT_REPORTS,
    cache: Annotated[Path | None, typer.Option(help="the suite's cache folder")] = None,
    page: Annotated[bool, typer.Option("--page", help="only write the page's tables")] = False,
) -> None:
    """Run the editors, and write the record after each; or write the page's tables from it."""
    console, path = Console(soft_wrap=True), reports / RECORD
    if page:
        write_page(read_record(path), PAGE, console)
    else:
        settings = RunSettings(
            model, "builtin", parse_counts(counts), None, 0, "cpu", "float32", cache_root(cache)
        )
        asked = Asked(settings, tuple(chosen_checks(checks, capabilities=capabilities)), baselines)
        for found in in_processes(partial(_work, asked), chosen(only), jobs):
            keep(path, found)
            console.print(said(found), markup=False, highlight=False)
        console.print(summary(read_record(path)["entrants"]), markup=False, highlight=False)


if __name__ == "__main__":
    start(main)
