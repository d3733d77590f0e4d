"""One ROME edit: this suite against EasyEdit's ROME as shipped.

    python benchmarks/bench_edit.py
    python benchmarks/bench_edit.py --limit       what the machine could do at best
    python benchmarks/bench_edit.py --profile     where our time goes

Both sides get the same 21 context prefixes, the same steps, the same covariance and the same fact,
another one for each repeat. Loading, prefixes and covariance are made before and not timed; on
EasyEdit's side the clock runs within its ``execute_rome``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from benchmarks import easyedit_reference
from benchmarks.bench import (
    DEFAULT_MODEL,
    DEFAULT_REPORTS,
    TINY,
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
    named,
    open_bench,
    open_model,
    start,
)
from benchmarks.edit_costs import show_limit, show_profile
from editsuite.editors import Update, method
from editsuite.editors.rome import BoundRome
from editsuite.engine import DecoderStack
from editsuite.errors import OptionError
from editsuite.facts import EditRequest, load_facts
from editsuite.runs import parse_layers

#: Context templates of the reference: the bare prompt, ten of length 5 and ten of length 10.
CONTEXTS = 21
FACTS = 5
TARGETS = {5: 5.0, 20: 10.0}
#: Relative Frobenius distance under which two updates are the same.
SAME = 1e-3


@dataclass(frozen=True)
class Edit:
    """ROME at one layer, ready for both sides.

    Attributes:
        stack: the unedited model.
        bound: our method.
        covariance: the matrix that both sides solve with, ``[d_ff, d_ff]`` float64.
        requests: the facts, taken in turn.
    """

    stack: DecoderStack
    bound: BoundRome
    covariance: Tensor
    requests: Sequence[EditRequest]

    def ours(self, repeat: int) -> Update:
        """One edit of ours."""
        return self.bound.edit([self.requests[repeat % len(self.requests)]])

    def rival(self, repeat: int) -> easyedit_reference.ReferenceUpdate:
        """The same edit by EasyEdit."""
        return reference_edit(
            self.stack,
            self.bound,
            self.requests[repeat % len(self.requests)],
            self.covariance,
        )


def reference_edit(
    stack: DecoderStack, bound: BoundRome, request: EditRequest, covariance: Tensor
) -> easyedit_reference.ReferenceUpdate:
    """An edit by EasyEdit with the settings and prefixes of a bound method of ours."""
    settings, loaded = bound.settings, stack.loaded
    return easyedit_reference.reference_rome(
        loaded.model,
        loaded.tokenizer,
        prompt=request.prompt,
        subject=request.subject,
        target_new=request.target_new,
        layer=bound.layer,
        contexts=bound.prefixes,
        hparams={
            "v_num_grad_steps": settings.v_num_grad_steps,
            "v_lr": settings.v_lr,
            "v_loss_layer": loaded.n_layers - 1,
            "v_weight_decay": settings.v_weight_decay,
            "clamp_norm_factor": settings.clamp_norm_factor,
            "kl_factor": settings.kl_factor,
        },
        covariance=covariance,
    )


def distance(ours: Update, theirs: easyedit_reference.ReferenceUpdate) -> float:
    """Relative Frobenius distance of two updates of one matrix."""
    (factors,) = ours.factors.values()
    mine = factors.output.double().cpu() @ factors.input.double().cpu().T
    other = torch.outer(theirs.right.double().cpu(), theirs.left.double().cpu())
    return float((mine - other).norm() / other.norm())


def compare(ours: Update, theirs: easyedit_reference.ReferenceUpdate) -> Compared:
    """Updates are the same below a relative distance."""
    apart = distance(ours, theirs)
    return Compared(apart < SAME, apart)


def open_edit(stack: DecoderStack, layer: int, given: Mapping[str, object], cache: Path) -> Edit:
    """Bind ROME to a layer and have prefixes and covariance ready."""
    settings = {"n_contexts": CONTEXTS, **given}
    bound = method("rome").bind(
        stack,
        layers=[layer],
        seed=0,
        hyperparameters={**stack.loaded.card.hyperparameters.get("rome", {}), **settings},
        cache=cache,
    )
    if not isinstance(bound, BoundRome) or bound.covariance is None:
        raise OptionError("rome is not the method that this benchmark compares; mend the registry")
    # EasyEdit formats its contexts, so it leaves braces out of those that it draws.
    plain = tuple(prefix.replace("{", "").replace("}", "") for prefix in bound.prefixes)
    covariance, bound = bound.covariance, replace(bound, prefixes=plain)
    bound.prepare()
    requests = load_facts("builtin").order(0)[:FACTS]
    return Edit(stack, bound, solved_matrix(covariance.matrix), requests)


def solved_matrix(matrix: Tensor) -> Tensor:
    """The covariance with the small ridge that our solver puts under it, float64.

    EasyEdit inverts what it is given. Without the ridge the two would solve different systems
    in the directions that the text hardly uses.
    """
    ridge = 1e-6 * matrix.diagonal().mean()
    return matrix + ridge * torch.eye(len(matrix), dtype=matrix.dtype)


def duel(edit: Edit) -> Duel:
    """The benchmark of one layer."""
    layer, loaded = edit.bound.layer, edit.stack.loaded
    return Duel(
        name=named(f"rome-edit-L{layer}", loaded),
        target=TARGETS.get(layer),
        n=1,
        ours=Side(lambda repeat: partial(edit.ours, repeat)),
        rival=Side(
            lambda repeat: partial(edit.rival, repeat), seconds=lambda update: update.seconds
        ),
        compare=compare,
        settings={
            "model": loaded.digest,
            "inputs": dict(edit.bound.inputs),
            "requests": [request.digest for request in edit.requests],
        },
        details={
            "model": loaded.card.name,
            "rival": "EasyEdit 0.0.1.dev0, execute_rome",
            "contexts": len(edit.bound.prefixes),
            "steps": edit.bound.settings.v_num_grad_steps,
        },
    )


def work(bench: Bench, edit: Edit, repeats: int, *, profile: bool, limit: bool) -> None:
    """What was asked for, at one layer."""
    if limit:
        show_limit(bench, edit.stack, edit.bound, edit.requests[0])
    if profile:
        show_profile(bench, f"layer {edit.bound.layer}", lambda: edit.ours(0))
    if not limit and not profile:
        bench.run(duel(edit), repeats)


def main(
    model: Model = DEFAULT_MODEL,
    layers: Annotated[str, typer.Option(help="layers, one record each")] = "5,20",
    steps: Annotated[int, typer.Option(help="v_num_grad_steps; 0: the card's")] = 0,
    tokens: Annotated[int, typer.Option(help="mom2_n_tokens; 0: the card's")] = 0,
    contexts: Annotated[int, typer.Option(min=1, help="context prefixes")] = CONTEXTS,
    repeats: Repeats = 5,
    threads: Threads = 0,
    device: Device = "cpu",
    fresh: Fresh = False,
    reports: Reports = DEFAULT_REPORTS,
    profile: Annotated[bool, typer.Option("--profile", help="only: where our time goes")] = False,
    limit: Annotated[bool, typer.Option("--limit", help="only: the machine's own limit")] = False,
) -> None:
    """Time one ROME edit at each layer, ours and EasyEdit's."""
    loaded = open_model(model, device)
    bench = open_bench(threads=threads, fresh=fresh, reports=reports, device=loaded.device)
    reason = easyedit_reference.available()
    if reason is not None and not (profile or limit):
        bench.console.print(f"bench_edit: nothing to compare with. {reason}")
        return
    given: dict[str, Any] = {"n_contexts": contexts}
    if steps:
        given["v_num_grad_steps"] = steps
    if tokens:
        given["mom2_n_tokens"] = tokens
    stack = DecoderStack(loaded)
    # The tiny model has four layers; whoever tries the script out wants it to run.
    chosen = (1,) if model == TINY else parse_layers(layers)
    for layer in chosen:
        edit = open_edit(stack, layer, given, bench.cache(model))
        work(bench, edit, repeats, profile=profile, limit=limit)


if __name__ == "__main__":
    start(main)
