"""What one edit by a trained MEND network does, and what its file says of its training.

    python -m benchmarks.study_mend --keep FOLDER --facts zsre:ZSRE --facts counterfact:COUNTERFACT

Facts are edited one at a time into the unedited model: some that the training held out (``--facts``
must name its sources, in their order), and some built-in ones, which the training never saw. Each
edited model is asked for the fact, by its prompt and its rephrase; on some of them perplexity of
prose is measured too. Finished facts are kept, by the digest of the network's file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from benchmarks.bench import DEFAULT_MODEL, DEFAULT_REPORTS, Model, open_bench, open_model, start
from benchmarks.study_covariance import Bench as Study
from editsuite.cards import cache_root
from editsuite.chains import ModelState, hyperparameters_of
from editsuite.editors import LowRank, Update, method
from editsuite.editors.mend import BoundMend
from editsuite.engine import DecoderStack, ResumeCache
from editsuite.errors import OptionError
from editsuite.facts import EditRequest, load_facts
from editsuite.measures import View
from editsuite.measures.perplexity import Perplexity
from editsuite.measures.recall import ask
from editsuite.training import Recipe, choose_lessons

Seen = dict[str, float]


def held_out(bound: BoundMend, sources: Sequence[str]) -> list[EditRequest]:
    """The facts that the network's training held out, in its order.

    Raises:
        OptionError: the sources are not those of the training.
    """
    notes = bound.file.notes
    recipe = Recipe(**{**notes["recipe"], "layers": tuple(notes["recipe"]["layers"])})
    sets = [load_facts(source) for source in sources]
    lessons = choose_lessons(
        sets,
        [load_facts("builtin")],
        bound.stack.loaded.tokenizer,
        held_out=recipe.held_out,
        seed=recipe.seed,
        longest=recipe.longest,
        positions=recipe.positions,
        at_most=recipe.facts,
    )
    if lessons.description["held_out_digest"] != notes["facts"]["held_out_digest"]:
        raise OptionError(
            f"--facts are not those of the training: {notes['facts']['sources']} are wanted"
        )
    by_digest = {r.digest: r for one in sets for r in (*one.requests, *one.tail)}
    return [by_digest[lesson.fact] for lesson in lessons.held_out]


def perplexity(stack: DecoderStack, layer: int) -> Callable[[], float]:
    """Of the project's prose; what the layers below the lowest edit give is computed once."""
    identity = (stack.loaded.digest, str(stack.loaded.dtype), stack.device.type)
    kept = ResumeCache(layer, identity)

    def measured() -> float:
        with stack.resumed(kept):
            seen = Perplexity().look(View(stack, (), {}))
        return math.exp(math.fsum(seen["nll"]) / sum(seen["tokens"]))

    return measured


def one_edit(
    bound: BoundMend, request: EditRequest, state: ModelState, prose: Callable[[], float] | None
) -> Seen:
    """Edit one fact into the unedited model and look; the model is unedited again afterwards."""
    before = math.nan if prose is None else prose()
    update = bound.edit([request])
    state.apply(update)
    questions = [(request.prompt, request.target_new)]
    if request.rephrase is not None:
        questions.append((request.rephrase, request.target_new))
    answers = ask(bound.stack, questions)
    seen = {
        "prompt": answers[0].teacher_forced,
        "prompt generated": answers[0].generated,
        "norm": float(str(update.record["update_norm"])),
        "seconds": float(str(update.record["seconds"])),
    }
    if len(answers) > 1:
        seen |= {"rephrase": answers[1].teacher_forced, "rephrase generated": answers[1].generated}
    if prose is not None:
        seen["prose ratio"] = prose() / before
    state.reset()
    return seen


def in_turns(chosen: Mapping[str, Sequence[EditRequest]]) -> list[tuple[str, EditRequest]]:
    """One of each kind, then the next of each."""
    rows = zip(*chosen.values(), strict=False)
    return [(kind, request) for row in rows for kind, request in zip(chosen, row, strict=True)]


def apart(update: Update, other: Update) -> float:
    """Relative distance of two updates, over all matrices."""
    far = whole = 0.0
    for name, change in update.factors.items():
        twin = other.factors[name]
        if not isinstance(change, LowRank) or not isinstance(twin, LowRank):
            raise TypeError("MEND's changes are of low rank")
        wanted = twin.output.double() @ twin.input.double().T
        far += float((change.output.double() @ change.input.double().T - wanted).norm() ** 2)
        whole += float(wanted.norm() ** 2)
    return math.sqrt(far / whole)


def mean_of(some: Sequence[Seen], name: str) -> str:
    """Mean of those that have the number, and of how many."""
    values = [seen[name] for seen in some if name in seen]
    return f"{math.fsum(values) / len(values):.4f} ({len(values)})" if values else ""


def show(sets: Mapping[str, Sequence[Seen]]) -> Table:
    """Means over the facts of each set."""
    table = Table(box=box.SIMPLE, title="after one edit: mean (facts)")
    table.add_column("")
    for name in sets:
        table.add_column(name, justify="right")
    names = ["prompt", "prompt generated", "rephrase", "rephrase generated", "prose ratio"]
    for name in (*names, "norm", "seconds"):
        table.add_row(name, *(mean_of(some, name) for some in sets.values()))
    worst = [max((s["prose ratio"] for s in some if "prose ratio" in s), default=math.nan)
             for some in sets.values()]  # fmt: skip
    table.add_row("largest prose ratio", *(f"{ratio:.4f}" for ratio in worst))
    return table


def curve(notes: Mapping[str, Any]) -> Iterator[str]:
    """The loss curve that the file holds, as a table for a page."""
    yield "| steps | loss, trained | held out | right after the prompt | rephrase | divergence |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
    for e in notes["curve"]:
        mark = "**" if e["step"] == notes["best_step"] else ""
        yield (
            f"| {mark}{e['step']}{mark} | {e['trained']:.4f} | {e['loss']:.4f} | "
            f"{e['prompt_accuracy']:.3f} | {e['rephrase_accuracy']:.3f} | {e['locality']:.4f} |"
        )


def main(
    keep: Annotated[Path, typer.Option(help="folder in which finished facts are kept")],
    facts: Annotated[list[str], typer.Option(help="the training's facts, in its order")],
    model: Model = DEFAULT_MODEL,
    file: Annotated[str, typer.Option(help="the network; empty: the card's")] = "",
    against: Annotated[str, typer.Option(help="another file: distances of the updates")] = "",
    each: Annotated[int, typer.Option(min=1, help="facts of each kind")] = 50,
    prose: Annotated[int, typer.Option(min=0, help="of these with perplexity")] = 10,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all CPUs")] = 0,
) -> None:
    """Edit facts one at a time with a trained network."""
    loaded = open_model(model, "cpu")
    bench = open_bench(threads=threads, fresh=False, reports=DEFAULT_REPORTS, device=loaded.device)
    stack = DecoderStack(loaded)
    study = Study(stack, keep, bench.console)
    bound = bind(stack, file)
    bench.console.print("\n".join(curve(bound.file.notes)), markup=False, soft_wrap=True)
    state = ModelState(loaded, bound.parameters)
    chosen = {
        "held out": held_out(bound, facts)[:each],
        "built-in": load_facts("builtin").order(0)[:each],
    }
    sets: dict[str, list[Seen]] = {}
    on_prose = perplexity(stack, min(bound.file.layers))
    # In turns, so that a study that was stopped has seen both kinds.
    for number, (kind, request) in enumerate(in_turns(chosen)):
        measured = number // len(chosen) < prose
        name = f"{bound.file.digest[:12]} {kind} {request.id} {measured}"
        seen = study.once(
            name, partial(one_edit, bound, request, state, on_prose if measured else None)
        )
        sets.setdefault(kind, []).append(seen)
    bench.console.print(show(sets))
    if against:
        twin = bind(stack, against)
        for kind, requests in chosen.items():
            far = [apart(bound.edit([r]), twin.edit([r])) for r in requests[:10]]
            bench.console.print(f"{kind}: updates {min(far):.1e} to {max(far):.1e} apart")


def bind(stack: DecoderStack, file: str) -> BoundMend:
    """MEND with a network."""
    given = {"hypernetwork": file, "sha256": ""} if file else {}
    mend, card = method("mend"), stack.loaded.card
    bound = mend.bind(
        stack,
        layers=card.layers["mend"],
        seed=0,
        hyperparameters=hyperparameters_of(card, mend, given),
        cache=cache_root(None),
    )
    if not isinstance(bound, BoundMend):
        raise TypeError("mend did not bind to itself")
    return bound


if __name__ == "__main__":
    start(main)
