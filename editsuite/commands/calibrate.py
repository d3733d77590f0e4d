"""``editsuite calibrate``: tolerances from measured noise."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from editsuite.errors import OptionError

if TYPE_CHECKING:
    from editsuite.runs import Case, RunSettings
    from editsuite.runs.calibration import Values, Variation


def calibrate(
    method: Annotated[str, typer.Option(help="The editing method.")] = "rome",
    model: Annotated[str, typer.Option("--model", help="Card, hub id or folder.")] = (
        "smollm2-135m-instruct"
    ),
    layers: Annotated[
        str,
        typer.Option(
            help="Layers (default: the card's): one chain each, or all in one for methods that "
            "spread an edit over layers."
        ),
    ] = "",
    batch_size: Annotated[str, typer.Option(help="Facts of one edit, one chain each.")] = "1",
    counts: Annotated[str, typer.Option(help="Numbers of edits.")] = "1,10,20,50,100",
    base_threads: Annotated[int, typer.Option(min=1, help="Threads of the base.")] = 1,
    threads: Annotated[str, typer.Option(help="Thread counts to try.")] = "1,2",
    budgets: Annotated[str, typer.Option(help="Batch sizes (tokens) to try.")] = "96,2048",
    arithmetic_upto: Annotated[
        int,
        typer.Option(min=1, help="Other threads and batch sizes are tried up to so many edits."),
    ] = 10**9,
    context_seeds: Annotated[str, typer.Option(help="Seeds of context prefixes.")] = "1,2",
    committed_base: Annotated[
        bool,
        typer.Option(help="Take the committed values as the base; it is not measured again."),
    ] = False,
    capabilities: Annotated[
        bool, typer.Option(help="Ask the probes of capabilities as well.")
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, help="Variations at once.")] = 1,
    baselines: Annotated[Path, typer.Option(help="The folder of baselines.")] = Path("baselines"),
    cache: Annotated[Path | None, typer.Option("--edit-cache", metavar="DIR")] = None,
) -> None:
    """Repeat a plan in other ways and write the tolerances that the noise asks for.

    The base is the kept chain that the baselines were made from; the others are edited anew in
    folders of their own. The baselines must be there (pytest --snapshot-update writes them).
    Everything measured is kept, so an interrupted calibration goes on where it stopped.

    Examples: [bold]editsuite calibrate --layers 5 --counts 1,10 --jobs 2[/],
    [bold]editsuite calibrate --method memit --context-seeds 1[/]
    """
    from editsuite.cards import cache_root, resolve_card
    from editsuite.commands.tolerances import write_tolerances
    from editsuite.editors import method as method_of
    from editsuite.measures import measures
    from editsuite.runs import RunSettings, parse_batches, parse_counts, parse_layers
    from editsuite.runs.calibration import variations
    from editsuite.runs.opening import cases_of

    console = Console(soft_wrap=True)
    settings = RunSettings(
        model=model,
        facts="builtin",
        counts=parse_counts(counts),
        layers=parse_layers(layers) if layers else None,
        seed=0,
        device="auto",
        dtype="float32",
        cache=cache_root(cache),
        batches=parse_batches(batch_size),
    )
    names = _names(settings, console) if capabilities else list(measures())
    tried = variations(base_threads, _ints(threads), _ints(budgets), _ints(context_seeds))
    if committed_base:
        tried = [variation for variation in tried if variation.kind != "base"]
    card = resolve_card(model)
    cases = cases_of(settings, card, method_of(method))
    files = {case: baselines / card.name / method / f"{case.stem}.json" for case in cases}
    for file in files.values():
        if not file.is_file():
            raise OptionError(
                f"there is no baseline {file}; write it first: pytest -m {method} --snapshot-update"
            )
    tasks = [(case, v) for case in cases for v in tried]
    found: dict[Case, dict[Variation, Values]] = {case: {} for case in cases}
    spawning = get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawning, initializer=end_with_parent) as pool:
        running = {
            pool.submit(_observe, _short(settings, v, case, arithmetic_upto), case, v, names): (
                case,
                v,
            )
            for case, v in tasks
        }
        for done in as_completed(running):
            case, variation = running[done]
            found[case][variation] = done.result()
            console.print(f"{case}: {variation}")
    for case, file in files.items():
        moved = write_tolerances(file, found[case])
        console.print(f"{file}: {moved} tolerances written")


def _short(settings: RunSettings, variation: Variation, case: Case, upto: int) -> RunSettings:
    """The counts that are whole batches; fewer for other threads and batches, if asked for."""
    counts = tuple(c for c in settings.counts if c % case.batch == 0)
    if variation.kind in ("threads", "batch"):
        counts = tuple(c for c in counts if c <= upto) or counts[:1]
    return dataclasses.replace(settings, counts=counts)


def _ints(text: str) -> list[int]:
    words = [w.strip() for w in text.split(",") if w.strip()]
    if not all(w.isdigit() for w in words):
        raise OptionError(f"{text!r} is no list of whole numbers such as 1,2")
    return [int(w) for w in words]


def _names(settings: RunSettings, console: Console) -> list[str]:
    """All measures, but for capabilities that cannot be asked here; says which and why."""
    from editsuite.measures import measures
    from editsuite.measures.capabilities.absence import why_not
    from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX

    names = list(measures())
    for capability in CAPABILITIES:
        if reason := why_not(capability, settings.capabilities):
            console.print(f"{capability} is left out: {reason}")
        else:
            names.append(PREFIX + capability)
    return names


def end_with_parent() -> None:
    """Have this process end when the one that started it is gone, by whatever end."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _observe(
    settings: RunSettings, case: Case, variation: Variation, names: Sequence[str]
) -> Values:
    from editsuite.runs.calibration import observe_variation

    return observe_variation(settings, case, names, variation)
