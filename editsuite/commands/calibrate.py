"""``editsuite calibrate``: tolerances from measured noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    layers: Annotated[str, typer.Option(help="Layers, one chain each.")] = "5,20",
    counts: Annotated[str, typer.Option(help="Numbers of edits.")] = "1,10,20,50,100",
    base_threads: Annotated[int, typer.Option(min=1, help="Threads of the base.")] = 1,
    threads: Annotated[str, typer.Option(help="Thread counts to try.")] = "1,2",
    budgets: Annotated[str, typer.Option(help="Batch sizes (tokens) to try.")] = "512",
    context_seeds: Annotated[str, typer.Option(help="Seeds of context prefixes.")] = "1,2",
    jobs: Annotated[int, typer.Option(min=1, help="Variations at once.")] = 1,
    baselines: Annotated[Path, typer.Option(help="The folder of baselines.")] = Path("baselines"),
    cache: Annotated[Path | None, typer.Option("--edit-cache", metavar="DIR")] = None,
) -> None:
    """Repeat a plan in other ways and write the tolerances that the noise asks for.

    The baselines must be there (pytest --snapshot-update writes them). Everything measured is
    kept, so an interrupted calibration goes on where it stopped.

    Example: [bold]editsuite calibrate --layers 5 --counts 1,10 --jobs 2[/]
    """
    from editsuite.cards import cache_root, resolve_card
    from editsuite.runs import Case, RunSettings, parse_counts, parse_layers
    from editsuite.runs.calibration import variations

    console = Console(soft_wrap=True)
    settings = RunSettings(
        model=model,
        facts="builtin",
        counts=parse_counts(counts),
        layers=None,
        seed=0,
        device="auto",
        dtype="float32",
        cache=cache_root(cache),
    )
    tried = variations(base_threads, _ints(threads), _ints(budgets), _ints(context_seeds))
    files = {
        layer: baselines / resolve_card(model).name / method / f"L{layer}.json"
        for layer in parse_layers(layers)
    }
    for file in files.values():
        if not file.is_file():
            raise OptionError(
                f"there is no baseline {file}; write it first: pytest -m {method} --snapshot-update"
            )
    tasks = [(Case(method, (layer,)), v) for layer in files for v in tried]
    found: dict[Case, dict[Variation, Values]] = {case: {} for case, _ in tasks}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_observe, settings, case, v): (case, v) for case, v in tasks}
        for done in as_completed(running):
            case, variation = running[done]
            found[case][variation] = done.result()
            console.print(f"{case}: {variation}")
    for layer, file in files.items():
        moved = write_tolerances(file, found[Case(method, (layer,))])
        console.print(f"{file}: {moved} tolerances written")


def _ints(text: str) -> list[int]:
    words = [w.strip() for w in text.split(",") if w.strip()]
    if not all(w.isdigit() for w in words):
        raise OptionError(f"{text!r} is no list of whole numbers such as 1,2")
    return [int(w) for w in words]


def _observe(settings: RunSettings, case: Case, variation: Variation) -> Values:
    from editsuite.measures import measures
    from editsuite.runs.calibration import observe_variation

    return observe_variation(settings, case, tuple(measures()), variation)


def write_tolerances(file: Path, found: Mapping[Variation, Values]) -> int:
    """Put tolerances into a baseline file; its values stay. Gives the number of tolerances."""
    from editsuite.files import write_text_atomically

    held = json.loads(file.read_text(encoding="utf-8"))
    base = next(values for v, values in found.items() if v.kind == "base")
    kinds = sorted({v.kind for v in found} - {"base"})
    written = 0
    for name, group in held["baselines"].items():
        edits = int(name.rpartition("-n")[2].rstrip("]"))
        for observation, entry in group["observations"].items():
            by_kind = {
                kind: [values[edits][observation] for v, values in found.items() if v.kind == kind]
                for kind in kinds
            }
            _write_one(entry, by_kind, base[edits][observation])
            written += 1
    write_text_atomically(file, json.dumps(held, indent=1) + "\n")
    return written


def _write_one(
    entry: dict[str, Any], by_kind: Mapping[str, Sequence[float]], base: float
) -> None:
    from editsuite.runs.calibration import tolerance

    room, noise = tolerance(by_kind, base, int(entry["n"]), str(entry["unit"]))
    entry["tolerance"] = float(f"{room:.3g}")
    entry["noise"] = {kind: float(f"{size:.3g}") for kind, size in noise.items()}
