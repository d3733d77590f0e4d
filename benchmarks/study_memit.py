"""How should MEMIT and AlphaEdit weigh other knowledge on the default model, and at what cost?

Facts that no check uses: invented ones of another seed, about subjects of their own. Three parts,
each kept as JSON in ``--keep``, so that a run that was stopped goes on where it was:

- *batch*: all facts in one edit, for every weight of the covariance (``mom2_update_weight``), or
  for every null space (``nullspace_threshold``, ``L2``) of AlphaEdit. The facts' targets do not
  depend on these and are searched once for each way of searching.
- *alone*: each of the first facts edited alone into the unedited model, from the same targets.
- *sequence*: the facts one after another, each searched in the model as it stands by then.

    python -m benchmarks.study_memit --keep FOLDER --weights 15000,1500,150,15
    python -m benchmarks.study_memit --keep FOLDER --thresholds 0.01,0.02 --l2s 10,1
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.study_covariance import Bench, open_bench, show
from editsuite.chains import Editing, ModelState, open_chain
from editsuite.editors import method
from editsuite.editors.batch import BatchEditor
from editsuite.editors.protocol import Remembers
from editsuite.editors.spread import Targets
from editsuite.engine import Continuation, score
from editsuite.facts import EditRequest, load_facts
from editsuite.facts.generator import generate_facts
from editsuite.measures import View, measures
from editsuite.measures.perplexity import prose
from editsuite.measures.recall import ask

#: Seed of the facts; the checks' own generated facts are of seed 0.
SEED = 21
#: Passages of the prose that perplexity is measured on here, to save time.
PASSAGES = 6


@dataclass(frozen=True)
class Way:
    """A way of searching targets.

    Attributes:
        contexts: context prefixes.
        stop: loss at which a search ends.
        steps: evaluations at most.
    """

    contexts: int
    stop: float
    steps: int

    def __str__(self) -> str:
        return f"c{self.contexts}-s{self.stop:g}-n{self.steps}"

    @property
    def settings(self) -> dict[str, object]:
        """As hyperparameters."""
        return {
            "n_contexts": self.contexts,
            "early_stop": self.stop,
            "v_num_grad_steps": self.steps,
        }


@dataclass(frozen=True)
class Hold:
    """What holds other knowledge against an edit: a method and its own hyperparameters.

    Attributes:
        method: name of the method.
        own: what is varied.
        label: short, for file names and tables.
    """

    method: str
    own: Mapping[str, object]
    label: str

    @classmethod
    def weight(cls, weight: float) -> Hold:
        """MEMIT with a weight of the covariance."""
        return cls("memit", {"mom2_update_weight": weight}, f"w{weight:g}")

    @classmethod
    def space(cls, threshold: float, l2: float) -> Hold:
        """AlphaEdit with a null space."""
        own = {"nullspace_threshold": threshold, "L2": l2}
        return cls("alphaedit", own, f"t{threshold:g}-l{l2:g}")


def facts_of(n: int) -> tuple[EditRequest, ...]:
    """The study's facts."""
    taken = frozenset(request.subject for request in load_facts("builtin").order(0))
    return generate_facts(n, SEED, taken=taken)


def bound_of(bench: Bench, way: Way, hold: Hold, layers: Sequence[int]) -> BatchEditor:
    """The method bound with these settings; what else the search wants is MEMIT's of the card."""
    bound = method(hold.method).bind(
        bench.stack,
        layers=layers,
        seed=0,
        hyperparameters=settings_of(bench, way, hold),
        cache=bench.keep,
    )
    assert isinstance(bound, BatchEditor)
    bound.prepare()
    return bound


def settings_of(bench: Bench, way: Way, hold: Hold) -> dict[str, object]:
    """All hyperparameters; what is not varied in the search is MEMIT's of the card."""
    card = dict(bench.stack.loaded.card.hyperparameters.get("memit", {}))
    card.pop("mom2_update_weight", None)
    return {**card, **way.settings, **hold.own}


def state_of(bench: Bench, bound: BatchEditor) -> ModelState:
    """The unedited model as a state."""
    editor = bound if isinstance(bound, Remembers) else None
    return ModelState(bench.stack.loaded, bound.parameters, editor)


def targets_of(bench: Bench, way: Way, facts: Sequence[EditRequest], layers: Sequence[int]) -> Any:
    """The facts' targets in the unedited model, and CPU seconds and steps of each search."""
    path = bench.keep / "targets" / f"{way}-{len(facts)}-{'-'.join(map(str, layers))}.pt"
    if path.exists():
        return torch.load(path, weights_only=False)
    bound = bound_of(bench, way, Hold.weight(1.0), layers)
    parts, seconds = list[Targets](), list[float]()
    for fact in facts:
        before = os.times().user
        parts.append(bound.targets([fact]))
        seconds.append(os.times().user - before)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save((parts, seconds), path)
    bench.console.print(f"[dim]{path.stem}: {sum(seconds) / len(seconds):.2f} s a search[/dim]")
    return parts, seconds


def joined(parts: Sequence[Targets]) -> Targets:
    """Targets of several facts as one batch."""
    return Targets(
        tuple(row for part in parts for row in part.rows),
        torch.cat([part.states for part in parts]),
        tuple(found for part in parts for found in part.found),
    )


def nll_of_prose(bench: Bench) -> float:
    """Mean negative log-likelihood of the first passages, nats a token."""
    tokenizer = bench.stack.loaded.tokenizer
    ids = [tuple(tokenizer(text)["input_ids"]) for text in prose()[:PASSAGES]]
    scored = score(bench.stack, [Continuation(i[:1], i[1:]) for i in ids])
    total = math.fsum(math.fsum(s.log_probs) for s in scored)
    return float(-total / sum(len(s.log_probs) for s in scored))


def look(bench: Bench, facts: Sequence[EditRequest]) -> dict[str, Any]:
    """What the model says of some facts, and to their locality prompts."""
    asked = ask(
        bench.stack,
        [(f.prompt, f.target_new) for f in facts]
        + [(f.rephrase or f.prompt, f.target_new) for f in facts],
    )
    halves = asked[: len(facts)], asked[len(facts) :]
    names = ("reliability", "generalization")
    found: dict[str, Any] = {}
    for name, half in zip(names, halves, strict=True):
        found[f"{name}.tf"] = [a.teacher_forced for a in half]
        found[f"{name}.gen"] = [a.generated for a in half]
    found["locality"] = measures()["locality"].look(View(bench.stack, facts, {}))
    return found


def unedited(bench: Bench, facts: Sequence[EditRequest]) -> Any:
    """The same of the unedited model."""
    return bench.once(
        f"unedited-{len(facts)}", lambda: {"nll": nll_of_prose(bench), **look(bench, facts)}
    )


def kept_share(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """Share of locality answers that are as they were, greedily generated."""
    same = [a == b for a, b in zip(before["greedy"], after["greedy"], strict=True)]
    return float(sum(same) / len(same))


def row_of(
    bench: Bench, facts: Sequence[EditRequest], everything: Sequence[EditRequest], seen: Any
) -> dict[str, float]:
    """What was seen, as numbers."""
    base = unedited(bench, everything)
    row = {
        name: sum(seen[name]) / len(seen[name]) for name in seen if name.endswith((".tf", ".gen"))
    }
    was = {name: kept[: len(facts)] for name, kept in base["locality"].items()}
    row["locality.gen"] = kept_share(was, seen["locality"])
    if "nll" in seen:
        row["perplexity ratio"] = float(torch.tensor(seen["nll"] - base["nll"]).exp())
    return row


def batch(bench: Bench, way: Way, hold: Hold, facts: Sequence[EditRequest], layers: Any) -> Any:
    """All facts in one edit."""
    parts, seconds = targets_of(bench, way, facts, layers)
    bound = bound_of(bench, way, hold, layers)
    update = bound.write(facts, joined(parts))
    state = state_of(bench, bound)
    state.apply(update)
    try:
        seen = {"nll": nll_of_prose(bench), **look(bench, facts)}
    finally:
        state.reset()
    told = {name: float(str(update.record[name])) for name in ("missing_after", "update_norm")}
    return {**row_of(bench, facts, facts, seen), **told, "search s": sum(seconds) / len(seconds)}


def alone(bench: Bench, way: Way, hold: Hold, facts: Sequence[EditRequest], layers: Any) -> Any:
    """The first ten facts, each in the unedited model."""
    parts, _ = targets_of(bench, way, facts, layers)
    bound = bound_of(bench, way, hold, layers)
    state = state_of(bench, bound)
    seen, norms = list[dict[str, Any]](), list[float]()
    for fact, part in list(zip(facts, parts, strict=True))[:10]:
        update = bound.write([fact], part)
        norms.append(float(str(update.record["update_norm"])))
        state.apply(update)
        try:
            seen.append(look(bench, [fact]))
        finally:
            state.reset()
    together: dict[str, Any] = {
        name: [v for s in seen for v in s[name]] for name in seen[0] if name != "locality"
    }
    together["locality"] = {
        name: [v for s in seen for v in s["locality"][name]] for name in ("forced", "greedy")
    }
    row = row_of(bench, facts[:10], facts, together)
    return {**row, "update_norm": sum(norms) / len(norms)}


def sequence(
    bench: Bench, way: Way, hold: Hold, facts: Sequence[EditRequest], layers: Any, counts: Any
) -> Any:
    """The facts one after another, looked at after some numbers of edits."""
    editing = Editing(
        method(hold.method),
        layers,
        tuple(facts),
        "study",
        hyperparameters=settings_of(bench, way, hold),
    )
    chain = open_chain(bench.stack, editing, bench.keep)
    rows = []
    for count in counts:
        chain.ensure(count)
        chain.go(count)
        try:
            seen = {"nll": nll_of_prose(bench), **look(bench, facts[:count])}
        finally:
            chain.go(0)
        rows.append({"edits": count, **row_of(bench, facts[:count], facts, seen)})
    return rows


def ways_of(contexts: str, stops: str, steps: str) -> Iterator[Way]:
    """Every combination."""
    for number in contexts.split(","):
        for stop in stops.split(","):
            for most in steps.split(","):
                yield Way(int(number), float(stop), int(most))


def main(
    keep: Annotated[Path, typer.Option(help="folder of finished parts")],
    model: str = "smollm2-135m-instruct",
    contexts: Annotated[str, typer.Option(help="numbers of context prefixes")] = "3",
    stops: Annotated[str, typer.Option(help="losses at which a search ends")] = "0.05",
    steps: Annotated[str, typer.Option(help="evaluations of a search at most")] = "25",
    weights: str = "15000,5000,1500,500,150,50,15,5",
    thresholds: Annotated[str, typer.Option(help="AlphaEdit instead of MEMIT")] = "",
    l2s: Annotated[str, typer.Option(help="AlphaEdit's L2")] = "10",
    parts: str = "batch,alone,sequence",
    counts: Annotated[str, typer.Option(help="edits of a sequence to look at")] = "10,20",
    facts: int = 20,
) -> None:
    """Compare what holds other knowledge, and ways of searching."""
    bench = open_bench(model, keep)
    layers = bench.stack.loaded.card.layers["memit"]
    chosen = facts_of(facts)
    looks = [int(count) for count in counts.split(",")]
    work: Mapping[str, Any] = {"batch": batch, "alone": alone, "sequence": sequence}
    holds = [Hold.weight(float(word)) for word in weights.split(",")]
    if thresholds:
        pairs = product(map(float, thresholds.split(",")), map(float, l2s.split(",")))
        holds = [Hold.space(threshold, l2) for threshold, l2 in pairs]
    for part in parts.split(","):
        rows: list[dict[str, Any]] = []
        for way in ways_of(contexts, stops, steps):
            for hold in holds:
                more = (looks,) if part == "sequence" else ()
                name = f"{part}-{way}-{hold.label}-f{facts}"
                result = bench.once(
                    name, partial(work[part], bench, way, hold, chosen, layers, *more)
                )
                found = result if isinstance(result, list) else [result]
                rows += [{"search": str(way), "hold": hold.label, **row} for row in found]
        show(bench, part, rows)


if __name__ == "__main__":
    typer.run(main)
