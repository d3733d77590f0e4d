"""``editsuite plan``: what runs take, before any is started."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from editsuite.cards.default import DEFAULT_MODEL
from editsuite.commands import asked

if TYPE_CHECKING:
    from editsuite.planning import RunPlan
    from editsuite.presets import PresetRun

GpuOption = Annotated[
    str, typer.Option("--gpu", metavar="NAME", help="The machine: cpu, or a GPU such as h100.")
]


def plan(
    preset: Annotated[
        str, typer.Option("--edit-preset", metavar="NAME", help="table-1 ... figure-10.")
    ] = "",
    model: asked.ModelOption = DEFAULT_MODEL,
    facts: asked.FactsOption = None,
    tier: asked.TierOption = None,
    counts: asked.CountsOption = None,
    layers: asked.LayersOption = None,
    batch_size: asked.BatchOption = None,
    methods: asked.MethodsOption = None,
    hyperparameters: asked.SetOption = None,
    seed: asked.SeedOption = None,
    data: asked.DataOption = None,
    items: asked.ItemsOption = None,
    texts: asked.TextsOption = None,
    text_items: asked.TextItemsOption = None,
    temperature: asked.TemperatureOption = None,
    repeats: asked.RepeatsOption = "1",
    dtype: asked.DtypeOption = "float32",
    gpu: GpuOption = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; as many as there are where not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: JSON, no table.")] = False,
) -> None:
    """Say what a preset, or a run with these options, takes: chains, states, items, disk, memory,
    hours.

    Nothing is loaded and nothing is edited. docs/plan.md tells how it is reckoned.

    Examples: [bold]editsuite plan --edit-preset table-4 --edit-model llama-2-7b --gpu a100-80gb[/],
    [bold]editsuite plan --edit-methods rome,memit --edit-counts 1,10,100[/]
    """
    given: dict[str, str | Path | None] = {
        **{"facts": facts, "tier": tier, "counts": counts, "layers": layers},
        **{"batch-size": batch_size, "methods": methods, "set": hyperparameters, "seed": seed},
        **{"data": data, "items": items, "temperature": temperature, "dtype": dtype},
        **{"texts": texts, "text-items": text_items},
    }
    console = Console(soft_wrap=True)
    if preset:
        expanded = asked.expansions(preset, model, given, repeats, None)
        runs, told = [one.runs for one in expanded], asked.told_lines(expanded)
    else:
        runs, told = [(_plain(model, given),)], []
    if as_json:
        plans = [_json(_made(one, gpu, dtype, threads)) for one in runs]
        console.print_json(data={"preset": preset, "told": told, "plans": plans})
        return
    for text in told:
        console.print(text, markup=False, highlight=False)
    for one in runs:
        show_plan(one, gpu, dtype, threads, console)


def _plain(model: str, given: dict[str, str | Path | None]) -> PresetRun:
    """A run of pytest with the same options: all checks."""
    from editsuite.measures import measures
    from editsuite.measures.capabilities.names import CAPABILITIES, PREFIX
    from editsuite.presets import PresetRun

    names = (*measures(), *(PREFIX + name for name in CAPABILITIES))
    chosen = asked.methods_of(given["methods"]) or ("rome",)
    return PresetRun(asked.settings_of(model, given, None), chosen, names)


def _made(runs: Sequence[PresetRun], gpu: str, dtype: str, threads: int | None) -> RunPlan:
    from editsuite.planning import plan_runs, read_machine

    return plan_runs(runs, read_machine(gpu, dtype, threads))


def show_plan(
    runs: Sequence[PresetRun], gpu: str, dtype: str, threads: int | None, console: Console
) -> None:
    """Print what some runs of one model take."""
    found = _made(runs, gpu, dtype, threads)
    console.print(_chains(found))
    console.print(_looks(found))
    console.print(_sizes(found))
    hours = found.seconds / 3600
    console.print(
        f"{found.card.name} on {found.machine.title}: {len(found.chains)} chains, "
        f"{found.states} states, about {hours:.2g} hours ({_span(hours / 2)} to "
        f"{_span(hours * 2)})",
        markup=False,
    )
    room = found.machine.memory
    if room is not None and found.memory.device > room:
        console.print(
            f"does not fit: {found.memory.device / 1e9:.0f} GB are needed, {found.machine.name} "
            f"has {room / 1e9:.0f}; take another --gpu, or --edit-dtype bfloat16",
            markup=False,
            style="bold red",
        )
    if not found.machine.measured:
        console.print("No GPU was measured: its hours are reckoned from the maker's numbers.")


def _span(hours: float) -> str:
    return f"{hours:.2g} h" if hours >= 1 else f"{60 * hours:.2g} min"


def _table(title: str, *names: str) -> Table:
    made = Table(title=title, header_style="bold", box=None, pad_edge=False, title_justify="left")
    for i, name in enumerate(names):
        made.add_column(name, justify="right" if i else "left")
    return made


def _chains(found: RunPlan) -> Table:
    made = _table("chains", "chain", "seed", "edits", "states", "journal MB", "minutes")
    for chain in found.chains:
        words = " ".join(f"{name}={value}" for name, value in chain.given.items())
        made.add_row(
            f"{chain.case} {words}".strip(),
            str(chain.sample),
            str(chain.edits),
            ",".join(map(str, chain.counts)),
            f"{chain.journal / 1e6:.2f}",
            f"{chain.seconds / 60:.1f}",
        )
    return made


def _looks(found: RunPlan) -> Table:
    made = _table("looks", "measure", "looks", "items", "tokens", "written at most", "minutes")
    for look in found.looks:
        made.add_row(
            look.measure,
            str(look.looks),
            f"{look.items:,}",
            f"{look.tokens:,.0f}",
            f"{look.written:,.0f}",
            f"{look.seconds / 60:.1f}",
        )
    return made


def _sizes(found: RunPlan) -> Table:
    made = _table("disk and memory", "what", "MB")
    for kind, part in (("disk", found.disk), ("memory", found.memory)):
        for name, size in dataclasses.asdict(part).items():
            made.add_row(f"{kind}: {name}", f"{size / 1e6:,.1f}")
    return made


def _json(found: RunPlan) -> dict[str, Any]:
    return {
        "model": found.card.name,
        "machine": dataclasses.asdict(found.machine),
        "states": found.states,
        "seconds": found.seconds,
        "prepare_seconds": found.prepare,
        "chains": [
            {**dataclasses.asdict(chain), "case": str(chain.case)} for chain in found.chains
        ],
        "looks": [dataclasses.asdict(look) for look in found.looks],
        "disk": dataclasses.asdict(found.disk),
        "memory": dataclasses.asdict(found.memory),
    }
