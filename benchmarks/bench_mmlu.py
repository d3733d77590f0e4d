"""MMLU, 5-shot, three subjects, by the letter's log-likelihood: the engine against lm-eval's HFLM.

    python benchmarks/bench_mmlu.py
    python benchmarks/bench_mmlu.py --items 0     every test item of the subjects

The five answered questions before each item are the subject's own dev split, as lm-eval's task
takes them. One call answers all subjects.
"""

from __future__ import annotations

import csv
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.bench import (
    DEFAULT_MODEL,
    DEFAULT_REPORTS,
    Device,
    Duel,
    Fresh,
    Model,
    Repeats,
    Reports,
    Threads,
    named,
    open_bench,
    open_model,
    start,
)
from benchmarks.choices import (
    DATA,
    Item,
    accuracy,
    ask,
    best_batch_size,
    data_folder,
    engine_lm,
    fresh_engine,
    requests_of,
    rival,
    rival_lm,
    same_choices,
    wording,
)
from editsuite.engine import DecoderStack
from editsuite.errors import OptionError, listing

NAME, SHOTS, TARGET = "mmlu", 5, 5.0
SUBJECTS = "astronomy,high_school_geography,philosophy"
TASK_FILES = "mmlu/default/_default_template_yaml", "mmlu/default/mmlu_{}.yaml"
OPTIONS = 4


def documents(path: Path, number: int) -> list[dict[str, Any]]:
    """The first questions of a file (all for 0), in the fields that lm-eval's task file names."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return [
        {"question": row[0], "choices": row[1 : 1 + OPTIONS], "answer": ord(row[-1]) - ord("A")}
        for row in (rows[:number] if number else rows)
    ]


def items_of(folder: Path, subject: str, number: int) -> list[Item]:
    """The first test items of a subject behind its dev questions.

    Raises:
        OptionError: there is no such subject.
    """
    dev, test = (folder / part / f"{subject}_{part}.csv" for part in ("dev", "test"))
    if not (dev.is_file() and test.is_file()):
        known = [path.name.removesuffix("_dev.csv") for path in (folder / "dev").glob("*_dev.csv")]
        raise OptionError(f"--subjects names {subject!r}; the folder holds {listing(known)}")
    files = [file.format(subject) for file in TASK_FILES]
    return wording(*files).items(documents(dev, SHOTS), documents(test, number))


def main(
    model: Model = DEFAULT_MODEL,
    subjects: Annotated[str, typer.Option(help="subjects, separated by commas")] = SUBJECTS,
    items: Annotated[int, typer.Option(min=0, help="items of a subject; 0: all")] = 20,
    batch_items: Annotated[int, typer.Option(min=1, help="least items to try a batch size")] = 5,
    repeats: Repeats = 5,
    threads: Threads = 0,
    device: Device = "cpu",
    fresh: Fresh = False,
    reports: Reports = DEFAULT_REPORTS,
) -> None:
    """Time MMLU on the unedited model."""
    folder = data_folder(NAME)
    loaded = open_model(model, device)
    bench = open_bench(threads=threads, fresh=fresh, reports=reports, device=loaded.device)
    if folder is None:
        bench.console.print(f"bench_mmlu: no folder {NAME} of the dataset; set {DATA}")
        return
    names = [name.strip() for name in subjects.split(",")]
    asked = [item for name in names for item in items_of(folder, name, items)]
    batch = best_batch_size(bench, NAME, loaded, asked, batch_items)
    requests = requests_of(asked, NAME)
    right = accuracy(asked, ask(engine_lm(DecoderStack(loaded)), requests))
    duel = Duel(
        name=named(f"{NAME}-{len(names)}-subjects", loaded),
        target=TARGET,
        n=len(asked),
        ours=fresh_engine(loaded, requests),
        rival=rival(rival_lm(loaded, batch["batch_size"]), requests),
        compare=lambda ours, theirs: same_choices(asked, ours, theirs),
        settings={
            "model": loaded.digest,
            "subjects": names,
            "items": len(asked),
            "last": asked[-1].context,
            "batch_size": batch["batch_size"],
        },
        details={
            "model": loaded.card.name,
            "rival": f"lm-eval {version('lm_eval')}, HFLM",
            "shots": SHOTS,
            "subjects": names,
            "accuracy": right,
            **batch,
        },
    )
    bench.run(duel, repeats)


if __name__ == "__main__":
    start(main)
