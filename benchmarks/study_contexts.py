"""How many context prefixes should ROME average the subject's key over?

The same 20 edits with 1, 6, 11 and 21 prefixes (the empty one included; the reference draws 21):
what they teach, what they damage and what they cost. Finished parts are kept in ``--keep``; the
chain with six prefixes is that of ``study_covariance``.

A second part asks where weak generalization comes from: whether the unedited model can answer
the rephrase at all when the fact stands right before it, and how rephrases fare that stay close
to the prompt.

    python -m benchmarks.study_contexts --keep FOLDER
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.study_covariance import (
    LAYER,
    Bench,
    behaviour,
    open_bench,
    show,
    show_chains,
)
from editsuite.chains import ModelState
from editsuite.editors import method
from editsuite.engine import Continuation, score
from editsuite.facts import EditRequest, load_facts, target_tokens
from editsuite.measures.recall import ask

#: Rephrases in the prompt's own form and nearly its words, by subject.
CLOSE = {
    "Temple of Jinzan": "The chronicle says that the Temple of Jinzan was founded in",
    "SS Calder Vale": "After the season, SS Calder Vale sails back to her home port,",
    "Quentin Adeyemi-Voss": "Quentin Adeyemi-Voss has an office job at",
    "Three Wells at Dusk": "The painter of Three Wells at Dusk is",
    "The Salt Ledger": "The author who wrote The Salt Ledger is",
}


def settings_of(number: int, tokens: int) -> dict[str, object]:
    """The default hyperparameters with another number of prefixes."""
    return {"n_contexts": number, "mom2_corpus": "self", "mom2_n_tokens": tokens}


def mean_nll(bench: Bench, questions: Sequence[tuple[str, str]]) -> list[float]:
    """Negative log-likelihood of each target, nats a token."""
    tokens = [target_tokens(bench.stack.loaded.tokenizer, *question) for question in questions]
    scored = score(bench.stack, [Continuation(t.context_ids, t.target_ids) for t in tokens])
    return [-sum(s.log_probs) / len(s.log_probs) for s in scored]


def wordings(request: EditRequest) -> dict[str, tuple[str, str]]:
    """The ways to ask for one fact: prompt, rephrase, rephrase behind the fact, close rephrase."""
    target, rephrase = request.target_new, request.rephrase or request.prompt
    ways = {
        "prompt": (request.prompt, target),
        "rephrase": (rephrase, target),
        "rephrase, fact in context": (f"{request.prompt} {target}.\n{rephrase}", target),
    }
    if request.subject in CLOSE:
        ways["close rephrase"] = (CLOSE[request.subject], target)
    return ways


def generalization(bench: Bench, number: int, tokens: int, facts: int) -> list[dict[str, Any]]:
    """Every wording of the first facts unedited; where a close one is known, edited alone too."""
    requests = load_facts("builtin").order(0)[:facts]
    rows = [row for request in requests for row in answers(bench, request, edited=False)]
    bound = method("rome").bind(
        bench.stack,
        layers=[LAYER],
        seed=0,
        hyperparameters=settings_of(number, tokens),
        cache=bench.keep,
    )
    bound.prepare()
    state = ModelState(bench.stack.loaded, bound.parameters)
    for request in requests:
        if request.subject in CLOSE:
            state.apply(bound.edit([request]))
            rows += answers(bench, request, edited=True)
            state.reset()
    return rows


def answers(bench: Bench, request: EditRequest, *, edited: bool) -> list[dict[str, Any]]:
    """What the model in its present state says to every wording of a fact."""
    ways = wordings(request)
    asked = ask(bench.stack, list(ways.values()))
    nll = mean_nll(bench, list(ways.values()))
    return [
        {
            "fact": request.subject,
            "wording": way,
            "edited": edited,
            "teacher_forced": a.teacher_forced,
            "generated": a.generated,
            "nll": n,
            "answer": a.answer,
        }
        for way, a, n in zip(ways, asked, nll, strict=True)
    ]


def show_generalization(bench: Bench, rows: Sequence[dict[str, Any]]) -> None:
    """Means by wording, and the answers to the close rephrases."""
    table = []
    for way in ("prompt", "rephrase", "rephrase, fact in context", "close rephrase"):
        for edited in (False, True):
            held = [r for r in rows if r["wording"] == way and r["edited"] is edited]
            if not held:
                continue
            means = {
                key: sum(float(r[key]) for r in held) / len(held)
                for key in ("teacher_forced", "generated", "nll")
            }
            table.append({"wording": way, "edited": edited, "n": len(held), **means})
    show(bench, "where generalization is lost", table)
    facts = {r["fact"] for r in rows if r["wording"] == "close rephrase"}
    chosen = [r for r in rows if r["fact"] in facts and r["edited"]]
    show(bench, "facts with a close rephrase", [{k: str(v) for k, v in r.items()} for r in chosen])


def main(
    keep: Annotated[Path, typer.Option(help="folder of finished parts")],
    model: str = "smollm2-135m-instruct",
    numbers: str = "1,6,11,21",
    tokens: int = 100_000,
    edits: int = 20,
    generalization_at: Annotated[int, typer.Option(help="prefixes; 0: leave out")] = 6,
) -> None:
    """Compare numbers of context prefixes."""
    bench = open_bench(model, keep)
    results = {}
    for number in (int(part) for part in numbers.split(",")):
        # Six prefixes are the covariance study's own chain.
        results[str(number)] = behaviour(
            bench,
            "self" if number == 6 else f"contexts{number}",
            editor="rome",
            hyperparameters=settings_of(number, tokens),
            edits=edits,
        )
    show_chains(bench, results)
    if generalization_at:
        work = partial(generalization, bench, generalization_at, tokens, edits)
        show_generalization(bench, bench.once(f"generalization-{generalization_at}-{edits}", work))


if __name__ == "__main__":
    typer.run(main)
