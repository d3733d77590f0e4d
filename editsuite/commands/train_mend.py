"""``editsuite train-mend``: train the hypernetwork that MEND edits with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from editsuite.errors import OptionError

if TYPE_CHECKING:
    from editsuite.cards import ModelCard
    from editsuite.engine import DecoderStack
    from editsuite.facts import FactSet
    from editsuite.training import Evaluation, Lessons, PlainText, Recipe, Trained


def train_mend(
    facts: Annotated[
        list[str],
        typer.Option("--facts", help="Facts to learn from; as --edit-facts, may be repeated."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The file to write.")],
    model: Annotated[str, typer.Option("--model", help="Card, hub id or folder.")] = (
        "smollm2-135m-instruct"
    ),
    layers: Annotated[str, typer.Option(help="Edited layers (default: the card's).")] = "",
    steps: Annotated[int, typer.Option(min=1, help="Steps at most.")] = 2000,
    batch: Annotated[int, typer.Option(min=1, help="Facts of a step.")] = 8,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the network's layers.")] = 128,
    lr: Annotated[float, typer.Option(help="Learning rate of the network.")] = 1e-5,
    lr_rates: Annotated[float, typer.Option(help="Learning rate of the maps' rates.")] = 2e-5,
    rate: Annotated[float, typer.Option(help="Every map's rate at the beginning.")] = 1e-4,
    c_edit: Annotated[float, typer.Option(help="Weight of the edit loss.")] = 0.1,
    c_loc: Annotated[float, typer.Option(help="Weight of the locality loss.")] = 1.0,
    c_rephrase: Annotated[
        float, typer.Option(help="Share of the rephrase in the edit loss, 0 to 1.")
    ] = 0.5,
    texts: Annotated[
        Path | None, typer.Option(help="Plain text, a paragraph a line, that must not change.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Steps between evaluations.")] = 100,
    patience: Annotated[int, typer.Option(min=1, help="Evaluations without a better one.")] = 5,
    held_out: Annotated[int, typer.Option(min=1, help="Facts to stop by.")] = 200,
    at_most: Annotated[int, typer.Option(min=1, help="Facts to learn from at most.")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Order of facts, first weights.")] = 0,
    start: Annotated[
        Path | None, typer.Option(help="A trained network to go on from, by another recipe.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store matrices in float16.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    cache: Annotated[Path | None, typer.Option("--edit-cache", metavar="DIR")] = None,
) -> None:
    """Train MEND's hypernetwork for a model, and write it with its recipe and loss curve.

    Facts that share a subject or a prompt with the built-in ones are left out: those are what
    checks ask about. Facts need locality prompts. A checkpoint is kept with every evaluation; an
    interrupted training goes on when the same command is given again. The best network on the
    held-out facts is what is written; name it by
    [bold]pytest -m mend --edit-set=mend.hypernetwork=FILE[/].

    Example: [bold]editsuite train-mend --facts zsre:zsre_mend_train.json --out mend.safetensors[/]
    """
    from editsuite.cards import cache_root, load_model, resolve_card
    from editsuite.editors.hypernetwork_file import read_hypernetwork, write_hypernetwork
    from editsuite.engine import DecoderStack
    from editsuite.facts import load_facts
    from editsuite.training import Recipe, Trainer, notes_of, read_text

    console, root = Console(soft_wrap=True), cache_root(cache)
    _check_out(out)
    card = resolve_card(model)
    recipe = Recipe(
        layers=_layers(layers, card),
        rank=rank,
        batch=batch,
        steps=steps,
        lr=lr,
        lr_rates=lr_rates,
        rate=rate,
        c_edit=c_edit,
        c_loc=c_loc,
        c_rephrase=c_rephrase,
        every=every,
        patience=patience,
        held_out=held_out,
        facts=at_most,
        seed=seed,
    )
    begun = None if start is None else read_hypernetwork(start)
    sources = [load_facts(source) for source in facts]
    text = None if texts is None else read_text(texts)
    stack = DecoderStack(load_model(card, device=device, cache=root))
    lessons = _lessons(sources, stack, recipe, text)
    trainer = Trainer(stack, lessons, recipe, root / "training", begun)
    with _progress(console, recipe.steps) as (step, evaluated):
        trained = trainer.train(step=step, evaluated=evaluated)
    import torch

    write_hypernetwork(
        out,
        trained.net,
        model=stack.loaded.digest,
        card=card.name,
        layers=recipe.layers,
        notes=notes_of(trained, lessons, recipe, begun),
        dtype=torch.float16 if half else torch.float32,
    )
    console.print(_summary(out, trained))


def _check_out(out: Path) -> None:
    """See that the file can be written, before hours of work are to be kept there."""
    mend = "choose another file with --out"
    if out.is_dir():
        raise OptionError(f"--out {out} is a folder; name the file to write in it")
    if not out.parent.is_dir():
        raise OptionError(f"--out {out}: there is no folder {out.parent}; make it first, or {mend}")
    if not os.access(out.parent, os.W_OK):
        raise OptionError(f"--out {out}: the folder {out.parent} cannot be written to; {mend}")


def _layers(named: str, card: ModelCard) -> tuple[int, ...]:
    from editsuite.runs import parse_layers

    layers = tuple(parse_layers(named)) if named else card.layers.get("mend", ())
    if layers and max(layers) >= card.n_layers:
        raise OptionError(
            f"--layers names layer {max(layers)}; {card.name} has layers 0 to {card.n_layers - 1}"
        )
    return layers


def _lessons(
    sources: Sequence[FactSet], stack: DecoderStack, recipe: Recipe, text: PlainText | None
) -> Lessons:
    from editsuite.facts import load_facts
    from editsuite.training import choose_lessons, passages_of

    tokenizer = stack.loaded.tokenizer
    return choose_lessons(
        sources,
        [load_facts("builtin")],
        tokenizer,
        held_out=recipe.held_out,
        seed=recipe.seed,
        longest=recipe.longest,
        positions=recipe.positions,
        at_most=recipe.facts,
        passages=None if text is None else passages_of(text, tokenizer, recipe.longest),
    )


@contextmanager
def _progress(
    console: Console, steps: int
) -> Iterator[tuple[Callable[[int, float], None], Callable[[Evaluation], None]]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[loss]}"), console=console) as progress:
        task = progress.add_task("training", total=steps, loss="")

        def step(made: int, loss: float) -> None:
            progress.update(task, completed=made, loss=f"loss {loss:.3f}")

        def evaluated(evaluation: Evaluation) -> None:
            progress.console.print(_line(evaluation))

        yield step, evaluated


def _line(evaluation: Evaluation) -> str:
    return (
        f"step {evaluation.step}: loss {evaluation.trained:.4f}, held out {evaluation.loss:.4f}; "
        f"target tokens right after the prompt {evaluation.prompt_accuracy:.3f}, after a rephrase "
        f"{evaluation.rephrase_accuracy:.3f}; divergence elsewhere {evaluation.locality:.4f} nats"
    )


def _summary(out: Path, trained: Trained) -> str:
    from editsuite.files import sha256_of

    size = out.stat().st_size / 1e6
    return f"{out}: {size:.1f} MB, sha256 {sha256_of(out)}\nbest: {_line(trained.best)}"
