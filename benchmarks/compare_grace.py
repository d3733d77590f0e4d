"""EasyEdit's GRACE beside this one: keys, radii, labels, decisions and values of single edits.

Single edits and pairs of edits, because there EasyEdit's code does what it means to: its labels
lose their keys from the third edit on. The value starts at the module's own output on both sides
(``warm``), so that nothing is drawn.

    EASYEDIT_HOME=TREE python -m benchmarks.compare_grace

``TREE`` is a checkout of EasyEdit; its registry package has no GRACE.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer
from rich.console import Console
from torch import Tensor

from benchmarks.easyedit_code import load_modules
from benchmarks.study_grace import show
from editsuite.cards import load_model, resolve_card
from editsuite.editors import method
from editsuite.editors.codebook_state import CodebookState
from editsuite.editors.grace import BoundGrace
from editsuite.engine import DecoderStack
from editsuite.errors import EditError
from editsuite.facts import EditRequest, load_facts

HOME = "EASYEDIT_HOME"


@dataclass(frozen=True)
class Book:
    """A codebook after some edits, whoever made it.

    Attributes:
        keys: ``[entries, d_in]``.
        values: ``[entries, d_out]``.
        radii: one for each entry.
        labels: token ids of the targets, in the order in which they were put in.
    """

    keys: Tensor
    values: Tensor
    radii: Tensor
    labels: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Reference:
    """EasyEdit's editor class and its way to tokenize a request."""

    editor: Any
    tokenize: Any


def reference() -> Reference:
    """EasyEdit's GRACE, without the packages around it and without its mark on the process.

    Raises:
        EditError: no checkout is named, or it has no GRACE.
    """
    home = Path(os.environ.get(HOME, ""))
    root = home / "easyeditor"
    if HOME not in os.environ or not (root / "models/grace/GRACE.py").is_file():
        raise EditError(f"{HOME} names no checkout of EasyEdit; set it to the tree's folder")
    with patch.dict(os.environ):
        adapter, texts = load_modules("models.grace", ["GRACE", "utils"], root)
    return Reference(adapter.GRACE, texts.tokenize)


def theirs(
    grace: Reference,
    stack: DecoderStack,
    requests: Sequence[EditRequest],
    settings: Mapping[str, Any],
) -> Book:
    """EasyEdit's codebook after the requests, on a copy of the model."""
    # It evaluates the name as Python, so layers stand in brackets.
    name = re.sub(r"\.(\d+)\.", r"[\1].", stack.loaded.down_proj_name(settings["layer"]))
    config = SimpleNamespace(
        inner_params=[name],
        dist_fn="euc",
        val_train="sgd",
        replacement="replace_last",
        eps_expand="coverage",
        num_pert=8,
        **settings,
    )
    model = copy.deepcopy(stack.loaded.model)
    editor = grace.editor(model=model, config=config, device=stack.device)
    adapter: Any = model.get_submodule(re.sub(r"\[(\d+)\]", r".\1", editor.layer))
    for request in requests:
        batch = {"prompt": request.prompt, "target_new": request.target_new}
        tokens = grace.tokenize(batch, tokenizer=stack.loaded.tokenizer, device=stack.device)
        editor.edit(config, tokens, request.id)
    # Its labels stand in reverse order.
    labels = [tuple(label[label != -100].tolist()) for label in adapter.key_labels[::-1]]
    return Book(
        adapter.keys.detach(), adapter.values.detach(), adapter.epsilons.flatten(), tuple(labels)
    )


def ours(stack: DecoderStack, requests: Sequence[EditRequest], settings: Mapping[str, Any]) -> Book:
    """This project's codebook after the requests."""
    given = {name: value for name, value in settings.items() if name != "layer"}
    bound = method("grace").bind(
        stack, layers=(settings["layer"],), seed=0, hyperparameters=given, cache=Path()
    )
    if not isinstance(bound, BoundGrace):
        raise EditError("grace is not the method that this compares; mend the registry")
    state: CodebookState = bound.open_state()
    for request in requests:
        state.apply(bound.edit([request]))
    book = state.codebook
    state.reset()
    return Book(book.keys, book.values, book.radii, book.labels)


def compared(ours: Book, theirs: Book) -> dict[str, Any]:
    """What is alike, and the largest differences of what is measured."""
    same = ours.keys.shape == theirs.keys.shape
    row: dict[str, Any] = {"entries": len(ours.keys), "same entries": same}
    if not same:
        return row
    return row | {
        "same labels": ours.labels == theirs.labels,
        "keys": apart(ours.keys, theirs.keys),
        "radii": float((ours.radii - theirs.radii.double()).abs().max()),
        "values": apart(ours.values, theirs.values),
    }


def apart(a: Tensor, b: Tensor) -> float:
    """Largest relative distance of two rows."""
    return float(((a - b).double().norm(dim=1) / b.double().norm(dim=1)).max())


def main(
    model: str = "smollm2-135m-instruct",
    layer: int = 28,
    facts: Annotated[int, typer.Option(help="single edits, and as many pairs")] = 20,
    steps: Annotated[int, typer.Option(help="steps of a value search")] = 10,
    eps: Annotated[str, typer.Option(help="radii of single edits and of pairs")] = "1,20,40",
) -> None:
    """Compare edits one by one, and pairs of them."""
    torch.set_num_threads(1)
    console, grace = Console(width=160), reference()
    stack = DecoderStack(load_model(resolve_card(model), device="cpu"))
    requests = load_facts("builtin").order(0)
    for radius in (float(part) for part in eps.split(",")):
        settings = {
            "layer": layer,
            "eps": radius,
            "n_iter": steps,
            "edit_lr": 1.0,
            "val_init": "warm",
        }
        for size in (1, 2):
            rows = []
            for start in range(facts):
                group = requests[start : start + size]
                row = compared(ours(stack, group, settings), theirs(grace, stack, group, settings))
                rows.append({"facts": ", ".join(r.id for r in group), **row})
            fields = max(rows, key=len)
            table = [{field: row.get(field, "") for field in fields} for row in rows]
            show(console, f"eps {radius:g}, {size} edits", table)


if __name__ == "__main__":
    typer.run(main)
