"""``pytest -m rome`` into an empty cache, against the plain way to the same observations.

    python benchmarks/bench_run.py

Ours is the wall time of a real run with its checks: the model is converted already, everything
else (prefixes, covariance, edits, looks, report) is made. The plain way is EasyEdit for the edits
and, at every count, whole forward passes of transformers for every question, one prompt at a time.
The plain way is long, so a few edits and one whole evaluation are timed and the rest is counted:

    chains * (E * edit + sum(C) * (recall + locality) + len(C) * prose + E * recall)
        + E * locality + prose

with E edits, C the counts, ``edit`` the median of the timed edits, ``recall`` and ``locality`` the
seconds a fact and ``prose`` those of all passages. The second ``E * recall`` is what individual
scores ask of every state; the last line is the unedited model. The plain way gets prefixes and
covariance for nothing, and no loading, no interpreter and no report are added to it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks import easyedit_reference
from benchmarks.bench import (
    DEFAULT_MODEL,
    DEFAULT_REPORTS,
    ROOT,
    TINY,
    Bench,
    Device,
    Fresh,
    Model,
    Pair,
    Reports,
    Side,
    Threads,
    largest,
    named,
    open_bench,
    open_model,
    start,
)
from benchmarks.bench_edit import SAME, distance, reference_edit, solved_matrix
from benchmarks.plain import Part, Plain, observations
from benchmarks.states import chain_of
from editsuite.cards import LoadedModel, cache_root, load_model, prepare_model, resolve_card
from editsuite.chains import Chain
from editsuite.editors.rome import BoundRome
from editsuite.errors import OptionError
from editsuite.runs import TIERS, parse_counts

NAME, TARGET = "pytest-rome", 8.0
FORMULA = (
    "chains * (E * edit + sum(C) * (recall + locality) + len(C) * prose + E * recall) "
    "+ E * locality + prose"
)
#: Difference of an observation (of its logarithm for a perplexity) that counts as none.
CLOSE = 1e-3


@dataclass(frozen=True)
class Costs:
    """Measured seconds of the plain way.

    Attributes:
        edit: one edit.
        recall: one fact's prompt and rephrase.
        locality: one fact's locality prompt.
        prose: all passages.
    """

    edit: float
    recall: float
    locality: float
    prose: float

    def total(self, counts: Sequence[int], chains: int) -> float:
        """Seconds of the whole plain run; see the module's text."""
        edits = max(counts)
        looks = sum(counts) * (self.recall + self.locality) + len(counts) * self.prose
        each = edits * self.edit + looks + edits * self.recall
        return chains * each + edits * self.locality + self.prose


@dataclass(frozen=True)
class Setting:
    """What is run.

    Attributes:
        bench: conditions, clock and kept parts.
        model: card name or folder.
        counts: numbers of edits to observe at.
        workers: of pytest.
        device: ``cpu``, ``cuda``, ...
        folder: cache and report of our run.
    """

    bench: Bench
    model: str
    counts: tuple[int, ...]
    workers: int
    device: str
    folder: Path

    @property
    def settings(self) -> dict[str, object]:
        """What the timings depend on."""
        return {"model": self.model, "counts": list(self.counts), "workers": self.workers}

    @property
    def cache(self) -> Path:
        """The run's cache, empty before it but for the converted model."""
        return self.folder / "cache"


def link_models(source: Path, target: Path) -> None:
    """Give a cache the converted models of another, without a copy where the disk allows it."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    if (source / "models").is_dir():
        shutil.copytree(source / "models", target / "models", copy_function=link)


def run_pytest(setting: Setting) -> dict[str, Any]:
    """Our side: a real run; its seconds, exit status, last lines and observations."""
    shutil.rmtree(setting.folder, ignore_errors=True)
    setting.cache.mkdir(parents=True)
    link_models(cache_root(), setting.cache)
    reports = setting.folder / "reports"
    command = [
        *(sys.executable, "-m", "pytest", "-m", "rome", "-n", str(setting.workers)),
        f"--edit-cache={setting.cache}",
        f"--edit-reports={reports}",
        f"--edit-counts={','.join(map(str, setting.counts))}",
        f"--edit-model={setting.model}",
        f"--edit-device={setting.device}",
    ]

    def work() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    with kept_to(setting.bench.threads):
        seconds, done = setting.bench.timed(Side(lambda _: work), 0)
    report = reports / "rome" / "observations.json"
    if not report.is_file():
        raise OptionError(f"pytest wrote no observations, it said:\n{done.stdout}{done.stderr}")
    held = json.loads(report.read_text(encoding="utf-8"))
    return {
        "seconds": seconds,
        "status": done.returncode,
        "last": done.stdout.splitlines()[-1:],
        "rows": held["rows"],
    }


@contextmanager
def kept_to(threads: int) -> Iterator[None]:
    """Within, processes that are started keep to so many CPUs, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def time_edits(
    setting: Setting, bound: BoundRome, chain: Chain, number: int
) -> list[dict[str, float]]:
    """Edits of the unedited model by EasyEdit: seconds, and how far from ours the first is."""
    if bound.covariance is None:
        raise OptionError("rome has no covariance here; mend the card's hyperparameters")
    covariance = solved_matrix(bound.covariance.matrix)

    def edit(index: int) -> dict[str, float]:
        theirs = reference_edit(bound.stack, bound, chain.plan.requests[index], covariance)
        entry = chain.entry(index + 1)
        # Later edits of the chain start from an edited model; only the first is the same work.
        apart = distance(entry.update, theirs) if index == 0 else 0.0
        return {"seconds": theirs.seconds, "distance": apart}

    return [
        setting.bench.once(f"{NAME}-edit-{index}", setting.settings, partial(edit, index))
        for index in range(number)
    ]


def plain_evaluation(
    setting: Setting, loaded: LoadedModel, chain: Chain, facts: int
) -> dict[str, Part]:
    """The whole evaluation of the chain's last state, and of the unedited model's locality."""
    plain = Plain(setting.bench, loaded, chain.plan.requests[:facts])
    settings = {**setting.settings, "facts": facts}

    def before() -> dict[str, Any]:
        chain.go(0)
        return {"before": asdict(plain.locality())}

    def after() -> dict[str, Any]:
        chain.go(facts)
        try:
            parts = {**plain.recall(), "locality": plain.locality(), "prose": plain.reading()}
        finally:
            chain.go(0)
        return {name: asdict(part) for name, part in parts.items()}

    held = {
        **setting.bench.once(f"{NAME}-before", settings, before),
        **setting.bench.once(f"{NAME}-after", settings, after),
    }
    return {name: Part(part["seconds"], part["seen"]) for name, part in held.items()}


def differences(
    rows: Sequence[Mapping[str, Any]], edits: int, plain: Mapping[str, float]
) -> dict[str, float]:
    """By observation after so many edits, how far our run and the plain evaluation are apart."""
    found = {}
    for row in rows:
        if row["edits"] == edits and row["name"] in plain:
            ours, theirs = float(row["value"]), plain[row["name"]]
            if row["unit"] == "perplexity":
                ours, theirs = math.log(ours), math.log(theirs)
            found[row["name"]] = abs(ours - theirs)
    return found


def measure(setting: Setting, *, edits: int, repeats: int) -> None:
    """Time both sides and write the record."""
    bench, counts = setting.bench, setting.counts
    runs = [
        bench.once(f"{NAME}-ours-{repeat}", setting.settings, partial(run_pytest, setting))
        for repeat in range(repeats)
    ]
    loaded = load_model(resolve_card(setting.model), device=setting.device, cache=setting.cache)
    layers = loaded.card.layers["rome"]
    chain = chain_of(loaded, layers[0], setting.cache)
    bound = chain.editor
    if chain.sound() < max(counts) or not isinstance(bound, BoundRome):
        raise OptionError(f"{setting.cache} does not hold the run's chain; run with --fresh")
    edited = time_edits(setting, bound, chain, edits)
    parts = plain_evaluation(setting, loaded, chain, max(counts))
    recall = {name: parts[name] for name in ("reliability", "generalization")}
    values = observations(recall, parts["locality"], parts["before"], parts["prose"])
    apart = differences(runs[-1]["rows"], max(counts), values)
    costs = Costs(
        edit=statistics.median(part["seconds"] for part in edited),
        recall=sum(part.seconds for part in recall.values()) / max(counts),
        locality=parts["locality"].seconds / max(counts),
        prose=parts["prose"].seconds,
    )
    plain_s = costs.total(counts, len(layers))
    difference = largest(apart.values())
    equal = difference < CLOSE and edited[0]["distance"] < SAME
    bench.console.print(f"plain way: {FORMULA}\n  {costs}, {plain_s:.0f} s", highlight=False)
    record = bench.record(
        [Pair(run["seconds"], plain_s, equal, difference) for run in runs],
        name=named(NAME, loaded),
        target=TARGET,
        n=len(counts),
        details={
            "model": loaded.card.name,
            "rival": "EasyEdit 0.0.1.dev0 and transformers, one prompt at a time",
            "extrapolated": True,
            "formula": FORMULA,
            "costs": asdict(costs),
            "counts": list(counts),
            "chains": len(layers),
            "workers": setting.workers,
            "plain_edits": len(edited),
            "first_edit_distance": edited[0]["distance"],
            "differences": apart,
            "exit_status": [run["status"] for run in runs],
        },
    )
    bench.write(record)


def main(
    model: Model = DEFAULT_MODEL,
    counts: Annotated[str, typer.Option(help="numbers of edits; empty: the standard tier")] = "",
    plain_edits: Annotated[int, typer.Option(min=1, help="edits timed with EasyEdit")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="pytest's -n")] = 2,
    repeats: Annotated[int, typer.Option(min=1, help="runs of ours; the plain way has one")] = 1,
    threads: Threads = 0,
    device: Device = "cpu",
    fresh: Fresh = False,
    reports: Reports = DEFAULT_REPORTS,
) -> None:
    """Time a whole run of the ROME checks."""
    bench = open_bench(
        threads=threads, fresh=fresh, reports=reports.absolute(), device=torch.device(device)
    )
    reason = easyedit_reference.available()
    if reason is not None:
        bench.console.print(f"bench_run: nothing to compare with. {reason}")
        return
    chosen = parse_counts(counts) if counts else TIERS["standard"]
    folder = bench.reports / "bench" / "run"
    name = model
    if model == TINY:
        made, place = open_model(TINY, device), bench.reports / "bench" / "tiny"
        made.model.save_pretrained(place)
        made.tokenizer.save_pretrained(place)
        name = str(place)
    else:
        prepare_model(resolve_card(model), cache=cache_root())
    setting = Setting(bench, name, chosen, workers, device, folder)
    measure(setting, edits=min(plain_edits, max(chosen)), repeats=repeats)


if __name__ == "__main__":
    start(main)
