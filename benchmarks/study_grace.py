"""Which radius does GRACE need, and what does a radius do?

The first part measures the keys of a model: their size, how far apart those of unrelated prompts
lie, how far a rephrase lies from its prompt, and how near plain prose comes to a prompt. The
second part puts the facts' keys into codebooks of several radii, without searching any value, and
counts who would be answered, and with whose answer. The third edits the built-in facts in sequence
and takes every measure.
Chains and looks are kept in the suite's cache folder, so that a run that was stopped goes on.

    python -m benchmarks.study_grace --keep FOLDER
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from editsuite.editors.codebook import DECISIONS
from editsuite.editors.codebook_state import CodebookState, empty_codebook
from editsuite.editors.key_scale import query_keys, query_row
from editsuite.engine import DecoderStack
from editsuite.engine.tree import passes, prefix_tree
from editsuite.engine.walk import Walk
from editsuite.errors import OptionError
from editsuite.facts import EditRequest, load_facts
from editsuite.measures import measures
from editsuite.measures.perplexity import prose
from editsuite.runs import Case, Run, RunSettings

LAYERS = "20,28"
REACH = "1,5,10,15,20,30,40"
#: Facts of the scale table.
FACTS = 100
#: Tokens of each passage of prose behind which a prompt may end.
PROSE = 64
QUANTILES = {"least": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95}


def asked_by(request: EditRequest, prompt: str | None) -> EditRequest:
    """The request, asked in other words, or with another question."""
    prompt = prompt or request.prompt
    return EditRequest(prompt, prompt.split()[0], request.target_new)


def rephrases_of(requests: Sequence[EditRequest]) -> tuple[EditRequest, ...]:
    """The requests, asked by their rephrases."""
    return tuple(asked_by(request, request.rephrase) for request in requests)


@dataclass
class Listener:
    """An adapter that keeps what it is asked and changes nothing."""

    layer: int
    module: str
    heard: list[Tensor] = field(default_factory=list)

    def __call__(self, entering: Tensor, leaving: Tensor) -> None:
        self.heard.append(entering)


@torch.no_grad()
def prose_keys(stack: DecoderStack, layer: int) -> Tensor:
    """Keys of prompts that are beginnings of plain prose, ``[prompts, d_in]``.

    One for every token of the first ``PROSE`` of each passage.
    """
    listener = Listener(layer, stack.loaded.family.down_proj)
    ids = [stack.loaded.tokenizer(text)["input_ids"][:PROSE] for text in prose()]
    asking = [[~token for token in passage] for passage in ids]
    walk = Walk(stack)
    with stack.adapted(listener):
        for step in passes(prefix_tree(asking), stack.token_budget):
            walk.run(step)
    return torch.cat(listener.heard)


def scale(stack: DecoderStack, layer: int) -> dict[str, Tensor]:
    """Norms and distances of the keys at a layer, one sample of numbers for each kind."""
    requests = load_facts("builtin").order(0)[:FACTS]
    prompts = query_keys(stack, requests, layer).double()
    rephrases = query_keys(stack, rephrases_of(requests), layer).double()
    between = torch.cdist(prompts, prompts, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = between.clone().fill_diagonal_(torch.inf).min(dim=1).values
    text = prose_keys(stack, layer).double()
    far = torch.cdist(text, prompts, compute_mode="donot_use_mm_for_euclid_dist")
    return {
        "norm of a prompt's key": prompts.norm(dim=1),
        "norm of a rephrase's key": rephrases.norm(dim=1),
        "two prompts": torch.pdist(prompts),
        "a prompt and the nearest other": nearest,
        "a prompt and its rephrase": (prompts - rephrases).norm(dim=1),
        "prose and the nearest prompt": far.min(dim=1).values,
    }


def scale_rows(stack: DecoderStack, layer: int) -> list[dict[str, Any]]:
    """Quantiles of every sample."""
    shares = torch.tensor(list(QUANTILES.values()), dtype=torch.float64)
    rows = []
    for name, sample in scale(stack, layer).items():
        found = torch.quantile(sample, shares).tolist()
        rows.append(
            {"layer": layer, "": name, "n": len(sample), **dict(zip(QUANTILES, found, strict=True))}
        )
    return rows


def reach_rows(stack: DecoderStack, layer: int, radii: Sequence[float]) -> list[dict[str, Any]]:
    """For each radius, whom a codebook of the facts answers: with their own label or another's."""
    requests = load_facts("builtin").order(0)[:FACTS]
    elsewhere = tuple(asked_by(r, r.locality_prompt) for r in requests if r.locality_prompt)
    keys = {
        "prompts": query_keys(stack, requests, layer),
        "rephrases": query_keys(stack, rephrases_of(requests), layer),
    }
    labels = [query_row(stack, request).target for request in requests]
    others = {
        "locality": query_keys(stack, elsewhere, layer),
        "prose": prose_keys(stack, layer),
    }
    rows = []
    for eps in radii:
        book = empty_codebook(stack, layer)
        decisions: dict[str, int] = dict.fromkeys(DECISIONS, 0)
        for key, label in zip(keys["prompts"], labels, strict=True):
            placement = book.place(key, label, eps)
            decisions[placement.decision] += 1
            book = book.put(placement, key, torch.zeros(book.values.shape[1]), label)
        row: dict[str, Any] = {"layer": layer, "eps": eps, "entries": len(book), **decisions}
        for name, asking in keys.items():
            found = [book.lookup(key) for key in asking]
            said = [None if index is None else book.labels[index] for index in found]
            right = sum(a == b for a, b in zip(said, labels, strict=True))
            row[f"{name}: own"] = right
            row[f"{name}: another's"] = sum(s is not None for s in said) - right
        for name, asking in others.items():
            row[name] = sum(book.lookup(key) is not None for key in asking) / len(asking)
        rows.append(row)
    return rows


def chain_row(settings: RunSettings, layer: int, edits: int, name: str) -> dict[str, Any]:
    """One chain: every observation after the last edit, and what the edits cost and decided."""
    run, case = Run(settings), Case("grace", (layer,))
    row: dict[str, Any] = {"chain": f"L{layer} {name}"}
    for observation in run.observe(case, edits, list(measures())):
        row[observation.name] = observation.value
    records = run.records(case, edits)
    decisions = [str(record["decision"]) for record in records]
    row |= {f"decided: {decision}": decisions.count(decision) for decision in DECISIONS}
    row["eps"] = records[0]["eps"]
    row["mean nll after"] = sum(r["nll_after"] for r in records) / edits
    row["median s/edit"] = float(torch.tensor([r["seconds"] for r in records]).median())
    return row | prose_reached(run, case, edits)


def prose_reached(run: Run, case: Case, edits: int) -> dict[str, float]:
    """Share of prompts of plain prose that the codebook answers."""
    chain = run.chain(case)
    run.free(chain)
    chain.go(edits)
    if not isinstance(chain.state, CodebookState):
        raise OptionError(f"{case} is no chain of a codebook; mend the registry")
    book = chain.state.codebook
    keys = prose_keys(run.stack, case.layers[0])
    hits = [book.lookup(key) is not None for key in keys]
    chain.go(0)
    return {"prose prompts answered": sum(hits) / len(hits), "prose prompts": len(hits)}


def show(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of the rows' fields."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    console.print(table)


def transposed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Chains as columns, observations as rows."""
    names = [str(row["chain"]) for row in rows]
    return [
        {"": key, **{name: row.get(key, "") for name, row in zip(names, rows, strict=True)}}
        for key in rows[0]
        if key != "chain"
    ]


def main(
    keep: Annotated[Path, typer.Option(help="cache folder of chains and looks")],
    model: str = "smollm2-135m-instruct",
    layers: str = LAYERS,
    reach: Annotated[str, typer.Option(help="radii of codebooks without values")] = REACH,
    eps: Annotated[str, typer.Option(help="absolute radii; '' for none")] = "1,5,10,20",
    relative: Annotated[str, typer.Option(help="radii in medians; '' for none")] = "0.3,0.6",
    edits: int = 100,
    scales: Annotated[bool, typer.Option(help="measure the keys and their reach")] = True,
    given: Annotated[str, typer.Option(help="more hyperparameters, name=number,...")] = "",
) -> None:
    """Measure keys, and edit with several radii."""
    torch.set_num_threads(1)
    console = Console(width=200)
    places = [int(part) for part in layers.split(",")]
    more = {name: float(v) if "." in v else int(v) for name, v in _pairs(given)}
    radii = [(float(e), "absolute") for e in eps.split(",") if e]
    radii += [(float(e), "relative") for e in relative.split(",") if e]

    def settings(hyperparameters: Mapping[str, object]) -> RunSettings:
        return RunSettings(
            model, "builtin", (edits,), None, 0, "cpu", "float32", keep, hyperparameters
        )

    if scales:
        stack = Run(settings({})).stack
        show(console, "keys", [row for layer in places for row in scale_rows(stack, layer)])
        reached = [float(part) for part in reach.split(",") if part]
        rows = [row for layer in places for row in reach_rows(stack, layer, reached)]
        show(console, f"{FACTS} keys: counts, and shares of locality prompts and of prose", rows)
    rows = []
    for layer in places:
        for radius, unit in radii:
            chosen = {"eps": radius, "eps_unit": unit, **more}
            rows.append(chain_row(settings(chosen), layer, edits, f"{radius:g} {unit}"))
            show(console, f"{edits} edits", transposed(rows))


def _pairs(text: str) -> list[tuple[str, str]]:
    parts = [part.partition("=") for part in text.split(",") if part]
    return [(name, value) for name, _, value in parts]


if __name__ == "__main__":
    typer.run(main)
