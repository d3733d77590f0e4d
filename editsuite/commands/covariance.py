"""``editsuite covariance``: a layer's key statistics, out of the cache and into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="Export the covariance of keys that ROME weighs its update by.", no_args_is_help=True
)


@app.command()
def export(
    to: Annotated[Path, typer.Argument(help="The .npz file to write.")],
    layer: Annotated[int, typer.Option(min=0, help="The edited layer.")],
    model: Annotated[str, typer.Option("--model", help="Card, hub id or folder.")] = (
        "smollm2-135m-instruct"
    ),
    corpus: Annotated[str, typer.Option(help="self, file:PATH or npz:PATH.")] = "self",
    tokens: Annotated[int, typer.Option(min=2, help="Tokens to read at most.")] = 100_000,
    cache: Annotated[Path | None, typer.Option("--edit-cache", metavar="DIR")] = None,
) -> None:
    """Write a layer's covariance as ROME's and EasyEdit's own files are written.

    The file holds mom2.mom2 (sum of k k^T), mom2.count, and what it was computed from. Another
    machine reads it with the hyperparameter mom2_corpus: npz:PATH.

    Example: [bold]editsuite covariance export layer5.npz --layer 5[/]
    """
    from editsuite.cards import cache_root, load_model, resolve_card
    from editsuite.editors.covariance import CovarianceSource
    from editsuite.engine import DecoderStack

    root = cache_root(cache)
    loaded = load_model(resolve_card(model), cache=root)
    loaded.layer_name(layer)
    source = CovarianceSource(DecoderStack(loaded), layer, corpus, tokens, root)
    source.export(to)
    Console(soft_wrap=True).print(f"{to}: covariance of layer {layer} of {loaded.card.name}")
