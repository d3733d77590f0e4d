"""Which text should ROME's covariance come from when nothing can be downloaded?

Compares ``C = E[k k^T]`` from text that the model wrote itself, from the project's own prose and
from the built-in prompts with the ``C`` of WikiText-2: first as matrices, then by what a chain of
edits does. Every finished part is kept as JSON in the folder ``--keep``, so that a run that was
stopped goes on where it was.

    python -m benchmarks.study_covariance --data DATA --keep FOLDER
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, cast

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from editsuite.cards import cache_root, load_model, resolve_card
from editsuite.chains import Chain, Editing, open_chain
from editsuite.editors import method
from editsuite.editors.contexts import context_prefixes
from editsuite.editors.corpus import read_corpus, sample_texts
from editsuite.editors.covariance import WINDOW
from editsuite.editors.lookup import lookup_rows, lookup_states
from editsuite.editors.moments import second_moments
from editsuite.engine import DecoderStack
from editsuite.facts import load_facts
from editsuite.files import write_text_atomically
from editsuite.measures import Judged, Look, View, measures
from editsuite.measures.perplexity import prose

COUNTS = (5_000, 20_000, 50_000, 100_000)
KEYS = 60
#: The default card's layer for ROME, where the behaviour is compared.
LAYER = 5
REFERENCE, HELD_OUT = "wikitext-valid", "wikitext-test"


@dataclass(frozen=True)
class Bench:
    """A model, the folder of what is already known, and where to talk.

    Attributes:
        stack: the unedited model.
        keep: folder of finished parts.
        console: the terminal.
    """

    stack: DecoderStack
    keep: Path
    console: Console

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """The kept JSON result of a part, or the result of doing it now."""
        path = self.keep / f"{name}.json"
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
        result = work()
        write_text_atomically(path, json.dumps(result, indent=1))
        self.console.print(f"[dim]{name}: done[/dim]")
        return result


def open_bench(model: str, keep: Path) -> Bench:
    """Load the model on one thread of the CPU."""
    torch.set_num_threads(1)
    stack = DecoderStack(load_model(resolve_card(model), cache=cache_root()))
    return Bench(stack, keep, Console())


def chain_of(bench: Bench, editor: str, hyperparameters: Mapping[str, object]) -> Chain:
    """The chain over the built-in facts in the order of seed 0, as far as it is kept."""
    facts = load_facts("builtin")
    editing = Editing(
        method(editor), (LAYER,), facts.order(0), facts.name, hyperparameters=hyperparameters
    )
    chain = open_chain(bench.stack, editing, bench.keep)
    chain.editor.prepare()
    return chain


def behaviour(
    bench: Bench, name: str, *, editor: str, hyperparameters: Mapping[str, object], edits: int
) -> dict[str, Any]:
    """Edit the first built-in facts of seed 0 in sequence and take every measure.

    Returns:
        Observations by name, and wall and user CPU seconds of each edit.
    """

    def work() -> dict[str, Any]:
        chain = chain_of(bench, editor, hyperparameters)
        wall, user = [time.perf_counter()], [os.times().user]
        for count in range(chain.sound() + 1, edits + 1):
            chain.ensure(count)
            wall.append(time.perf_counter())
            user.append(os.times().user)
        try:
            observations = _observe(bench, chain, edits)
        finally:
            chain.go(0)
        return {
            "wall": [b - a for a, b in pairwise(wall)],
            "user": [b - a for a, b in pairwise(user)],
            "load": os.getloadavg(),
            "prefixes": chain.plan.inputs["prefixes"],
            "observations": observations,
            "records": [dict(chain.record(i)) for i in range(1, edits + 1)],
        }

    return dict(bench.once(f"chain-{name}-{edits}", work))


def _observe(bench: Bench, chain: Chain, edits: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for measure in measures().values():
        seen: dict[Look, Any] = {}
        for look in measure.looks(edits):
            if look.judged:
                chain.go(0)
                seen[look] = cast("Judged", measure).judge(bench.stack, seen[look.written])
                continue
            chain.go(look.state)
            facts = chain.plan.requests[look.first - 1 : look.last] if look.first else ()
            view = View(bench.stack, facts, chain.weights())
            if look.state == 0:
                # The unedited model answers the same whatever the chain.
                part = f"unedited-{measure.name}-{look.first}-{look.last}"
                seen[look] = bench.once(part, partial(measure.look, view))
            else:
                seen[look] = measure.look(view)
        found |= {o.name: o.as_json() for o in measure.observe(edits, seen)}
        if measure.name == "recall.sequential":
            found["answers"] = seen[measure.looks(edits)[0]]
    return found


def pieces_of(bench: Bench, texts: Iterable[str], n_tokens: int) -> list[list[int]]:
    """Texts as token sequences, cut as the covariance cuts them."""
    tokenizer, pieces, left = bench.stack.loaded.tokenizer, list[list[int]](), n_tokens
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        for start in range(0, len(ids), WINDOW):
            piece = ids[start : start + WINDOW][:left]
            if len(piece) > 1:
                pieces.append(piece)
                left -= len(piece)
    return pieces


def moments(
    bench: Bench, name: str, texts: Sequence[str], layer: int, most: int
) -> dict[int, Tensor]:
    """``C`` from the first 5k, 20k, ... tokens of a corpus, and from all of it up to ``most``."""
    path = bench.keep / "moments" / f"{name}-{layer}-{most}.pt"
    if path.exists():
        return dict(torch.load(path, weights_only=True))
    every = pieces_of(bench, texts, most)
    found: dict[int, Tensor] = {}
    total: Tensor | None = None
    count, taken = 0, 0
    for wanted in (*(c for c in COUNTS if c < most), most):
        part: list[list[int]] = []
        while taken < len(every) and sum(len(piece) for piece in part) + count < wanted:
            part.append(every[taken])
            taken += 1
        if part:
            (more,) = second_moments(bench.stack, [layer], part)
            total = more.total if total is None else total + more.total
            count += more.count
            found[count] = total / count
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(found, path)
    bench.console.print(f"[dim]C of {name}, layer {layer}: {list(found)} tokens[/dim]")
    return found


def fact_keys(bench: Bench, layer: int) -> Tensor:
    """``[KEYS, d_ff]`` float64: the facts' keys, each averaged over six prefixes."""
    prefixes = context_prefixes(bench.stack, n=6, seed=0, cache=bench.keep)
    keys = []
    for request in load_facts("builtin").order(0)[:KEYS]:
        states = lookup_states(bench.stack, lookup_rows(bench.stack, request, prefixes), layer)
        keys.append(states.keys[:-1].mean(dim=0).double())
    return torch.stack(keys)


def directions(matrix: Tensor, keys: Tensor) -> Tensor:
    """``(C + ridge)^-1 k`` for each key, with the ridge that the covariance's solver adds."""
    ridge = 1e-6 * matrix.diagonal().mean()
    solved: Tensor = torch.linalg.solve(matrix + ridge * torch.eye(len(matrix)).double(), keys.T)
    return solved.T


def compare(matrix: Tensor, reference: Tensor, held_out: Tensor, keys: Tensor) -> dict[str, float]:
    """A candidate beside the reference.

    ``excess`` is what ROME's closed form minimises, on text that neither has seen: with
    ``u = C^-1 k``, the mean square of the update's effect, ``(u^T H u) / (k^T u)^2`` with the
    held-out text's ``H``, over the smallest possible, ``1 / (k^T H^-1 k)``; geometric mean over
    facts.
    """
    mine, other, best = (directions(m, keys) for m in (matrix, reference, held_out))
    cosines = torch.nn.functional.cosine_similarity(mine, other, dim=1)
    effect = ((mine @ held_out) * mine).sum(1) / (mine * keys).sum(1) ** 2
    least = 1 / (best * keys).sum(1)
    values = torch.linalg.eigvalsh(matrix)
    ridge = 1e-6 * float(values.mean())
    return {
        "frobenius": float((matrix - reference).norm() / reference.norm()),
        "cosine_mean": float(cosines.mean()),
        "cosine_5th": float(cosines.quantile(0.05)),
        "condition": float((values[-1] + ridge) / (values[0].clamp(min=0) + ridge)),
        "largest_share": float(values[-1] / values.sum()),
        "excess": float((effect / least).log().mean().exp()),
    }


def texts_of(bench: Bench, data: Path) -> dict[str, Sequence[str]]:
    """All candidates and the two halves of WikiText."""
    wiki = {
        f"wikitext-{part}": [
            line.strip()
            for line in (data / "wikitext2" / f"{part}.txt").read_text("utf-8").splitlines()
            if line.strip()
        ]
        for part in ("valid", "test")
    }
    newline = bench.once(
        "sample-newline", lambda: list(sample_texts(bench.stack, 64, 250, 0, start="\n"))
    )
    facts = load_facts("builtin").requests
    return {
        **wiki,
        "self": read_corpus("self", bench.stack, bench.keep).texts,
        "self-newline": newline,
        "prose": prose(),
        "facts": [f"{r.prompt} {r.target_new}" for r in facts],
    }


def matrices(bench: Bench, texts: Mapping[str, Sequence[str]], layer: int, most: int) -> Any:
    """Every candidate, by number of tokens, beside WikiText."""
    held = {
        name: moments(bench, name, t, layer, most // 2 if name == HELD_OUT else most)
        for name, t in texts.items()
    }
    reference = held[REFERENCE][max(held[REFERENCE])]
    held_out = held[HELD_OUT][max(held[HELD_OUT])]
    keys = fact_keys(bench, layer)
    rows = [
        {"corpus": name, "tokens": count, **compare(matrix, reference, held_out, keys)}
        for name, by_count in held.items()
        for count, matrix in by_count.items()
    ]
    identity = torch.eye(keys.shape[1]).double()
    return [
        *rows,
        {"corpus": "identity", "tokens": 0, **compare(identity, reference, held_out, keys)},
    ]


def show(bench: Bench, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of the rows' fields."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    bench.console.print(table)


def summary(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """One chain as one row: value and 95 % interval of each observation."""
    row: dict[str, Any] = {"chain": name}
    for key, o in result["observations"].items():
        if key == "answers":
            continue
        low, high = o["low"], o["high"]
        sure = "" if o["interval"] == "exact" else f" [{low:.3f}, {high:.3f}]"
        row[key] = f"{o['value']:.3f}{sure}"
    edits = max(1, len(result["user"]))
    row["wall s/edit"] = sum(result["wall"]) / edits
    row["user s/edit"] = sum(result["user"]) / edits
    return row


def show_chains(bench: Bench, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Chains as columns, observations as rows."""
    rows = {name: summary(name, result) for name, result in results.items()}
    fields = [f for f in next(iter(rows.values())) if f != "chain"]
    show(bench, "chains", [{"": f, **{n: r[f] for n, r in rows.items()}} for f in fields])


def chains(
    bench: Bench, texts: Mapping[str, Sequence[str]], names: Sequence[str], edits: int, tokens: int
) -> dict[str, Any]:
    """The same edits with ``C`` from each corpus; ``identity`` is the variant without ``C``."""
    results = {}
    for name in names:
        settings: dict[str, object] = {"n_contexts": 6, "mom2_n_tokens": tokens}
        if name == "self":
            settings["mom2_corpus"] = "self"
        elif name != "identity":
            path = bench.keep / "corpora" / f"{name}.txt"
            lines = [" ".join(text.split()) for text in texts[name]]
            write_text_atomically(path, "\n".join(lines))
            settings["mom2_corpus"] = f"file:{path}"
        editor = "rome_noc" if name == "identity" else "rome"
        results[name] = behaviour(bench, name, editor=editor, hyperparameters=settings, edits=edits)
    return results


def main(
    data: Annotated[Path, typer.Option(help="folder that holds wikitext2/")],
    keep: Annotated[Path, typer.Option(help="folder of finished parts")],
    model: str = "smollm2-135m-instruct",
    layers: str = "5,20",
    tokens: int = 100_000,
    corpora: str = "self,prose,identity,wikitext-valid,facts",
    edits: int = 20,
) -> None:
    """Compare corpora for the covariance."""
    bench = open_bench(model, keep)
    texts = texts_of(bench, data)
    for layer in (int(part) for part in layers.split(",") if part):
        part = f"matrices-{layer}-{tokens}"
        rows = bench.once(part, partial(matrices, bench, texts, layer, tokens))
        show(bench, f"layer {layer}", rows)
    names = [name for name in corpora.split(",") if name]
    if names:
        show_chains(bench, chains(bench, texts, names, edits, tokens))


if __name__ == "__main__":
    typer.run(main)
