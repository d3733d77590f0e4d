"""CommonsenseQA dev, 8-shot, by the letter's log-likelihood: the engine against lm-eval's HFLM.

    python benchmarks/bench_commonsenseqa.py

All items stand behind one fixed block of eight answered questions, the first of the train split.
Two records: the unedited model, and five states of a chain at layer 20 one after another. Of the
five states our side has one stack, whose kept lower layers serve all of them; HFLM runs five
times. A pass of HFLM over five states is long, so its states are kept one by one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.bench import (
    DEFAULT_MODEL,
    DEFAULT_REPORTS,
    Bench,
    Compared,
    Device,
    Duel,
    Fresh,
    Model,
    Repeats,
    Reports,
    Side,
    Threads,
    largest,
    named,
    open_bench,
    open_model,
    start,
)
from benchmarks.choices import (
    DATA,
    Answers,
    Item,
    accuracy,
    ask,
    best_batch_size,
    data_folder,
    engine_lm,
    fresh_engine,
    requests_of,
    resuming,
    rival,
    rival_lm,
    same_choices,
    wording,
)
from benchmarks.states import COUNTS, States, open_states
from editsuite.cards import LoadedModel
from editsuite.engine import DecoderStack

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

NAME, SHOTS, TARGET = "commonsenseqa", 8, 8.0
STATES_TARGET, LAYER = 15.0, 20
TASK_FILE = "commonsense_qa/default.yaml"


def documents(path: Path, number: int) -> list[dict[str, Any]]:
    """The first questions of a split, in the fields that lm-eval's task file names."""
    read = []
    with path.open(encoding="utf-8") as file:
        for _, line in zip(range(number), file, strict=False):
            held = json.loads(line)
            choices = held["question"]["choices"]
            labels = [choice["label"] for choice in choices]
            read.append(
                {
                    "question": held["question"]["stem"],
                    "choices": {"label": labels, "text": [choice["text"] for choice in choices]},
                    "answer": labels.index(held["answerKey"]),
                }
            )
    return read


@dataclass(frozen=True)
class Exam:
    """The items and their requests, and what both sides need besides.

    Attributes:
        bench: where timings go.
        loaded: the model.
        items: the questions.
        requests: the same as lm-eval's requests.
        batch: HFLM's best batch size and how it was found.
    """

    bench: Bench
    loaded: LoadedModel
    items: Sequence[Item]
    requests: list[Instance]
    batch: dict[str, Any]

    @property
    def settings(self) -> dict[str, object]:
        """What the timings depend on."""
        return {
            "model": self.loaded.digest,
            "items": len(self.items),
            "first": self.items[0].context,
            "last": self.items[-1].context,
            "batch_size": self.batch["batch_size"],
        }

    @property
    def details(self) -> dict[str, object]:
        """What the record says besides the numbers."""
        return {
            "model": self.loaded.card.name,
            "rival": f"lm-eval {version('lm_eval')}, HFLM",
            "shots": SHOTS,
            **self.batch,
        }

    def unedited(self) -> Duel:
        """The unedited model; a fresh stack for every repeat."""
        hflm = rival_lm(self.loaded, self.batch["batch_size"])
        right = accuracy(self.items, ask(engine_lm(DecoderStack(self.loaded)), self.requests))
        return Duel(
            name=named(f"{NAME}-unedited", self.loaded),
            target=TARGET,
            n=len(self.items),
            ours=fresh_engine(self.loaded, self.requests),
            rival=rival(hflm, self.requests),
            compare=lambda ours, theirs: same_choices(self.items, ours, theirs),
            settings=self.settings,
            details={**self.details, "accuracy": right},
        )

    def states(self, states: States) -> Duel:
        """Five states: ours in one go, HFLM state by state."""
        name = named(f"{NAME}-5-states", self.loaded)
        settings = {**self.settings, "states": states.identity}
        return Duel(
            name=name,
            target=STATES_TARGET,
            n=len(self.items) * len(COUNTS),
            ours=Side(lambda _: partial(self._all_states, states)),
            rival=Side(
                lambda repeat: partial(
                    self._rival_states, states, f"{name}-hflm-{repeat}", settings
                ),
                seconds=lambda parts: sum(part["seconds"] for part in parts),
            ),
            compare=lambda ours, theirs: self._same_everywhere(ours, theirs),
            settings=settings,
            details={
                **self.details,
                "states": states.name,
                "note": "one repeat of HFLM is five timings, one for each state",
            },
        )

    def _all_states(self, states: States) -> list[Answers]:
        stack = DecoderStack(self.loaded)
        lm, answers = engine_lm(stack), []
        try:
            with resuming(stack, states.layer):
                for edits in COUNTS:
                    states.go(edits)
                    answers.append(ask(lm, self.requests))
        finally:
            states.go(0)
        return answers

    def _rival_states(
        self, states: States, name: str, settings: dict[str, object]
    ) -> list[dict[str, Any]]:
        lm = rival_lm(self.loaded, self.batch["batch_size"])

        def timed(edits: int) -> dict[str, Any]:
            states.go(edits)
            seconds, answers = self.bench.timed(rival(lm, self.requests), 0)
            return {"seconds": seconds, "answers": answers}

        try:
            return [
                self.bench.once(f"{name}-{edits}", settings, partial(timed, edits))
                for edits in COUNTS
            ]
        finally:
            states.go(0)

    def _same_everywhere(
        self, ours: Sequence[Answers], theirs: Sequence[dict[str, Any]]
    ) -> Compared:
        found = [
            same_choices(self.items, a, b["answers"]) for a, b in zip(ours, theirs, strict=True)
        ]
        return Compared(all(c.equal for c in found), largest(c.difference for c in found))


def main(
    model: Model = DEFAULT_MODEL,
    items: Annotated[int, typer.Option(min=1, help="items of the dev split")] = 100,
    batch_items: Annotated[int, typer.Option(min=1, help="least items to try a batch size")] = 5,
    repeats: Repeats = 5,
    state_repeats: Annotated[int, typer.Option(help="repeats of the five states; 0: none")] = 1,
    layer: Annotated[int, typer.Option(help="edited layer of the five states")] = LAYER,
    threads: Threads = 0,
    device: Device = "cpu",
    fresh: Fresh = False,
    reports: Reports = DEFAULT_REPORTS,
) -> None:
    """Time CommonsenseQA on the unedited model and on five states."""
    folder = data_folder(NAME)
    loaded = open_model(model, device)
    bench = open_bench(threads=threads, fresh=fresh, reports=reports, device=loaded.device)
    if folder is None:
        bench.console.print(f"bench_commonsenseqa: no folder {NAME} of the dataset; set {DATA}")
        return
    asked = wording(TASK_FILE).items(
        documents(folder / "train_rand_split.jsonl", SHOTS),
        documents(folder / "dev_rand_split.jsonl", items),
    )
    batch = best_batch_size(bench, NAME, loaded, asked, batch_items)
    exam = Exam(bench, loaded, asked, requests_of(asked, NAME), batch)
    bench.run(exam.unedited(), repeats)
    if state_repeats:
        states = open_states(model, loaded, min(layer, loaded.n_layers - 2), bench.cache(model))
        bench.run(exam.states(states), state_repeats)


if __name__ == "__main__":
    start(main)
