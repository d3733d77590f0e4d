"""The committed baselines of a card, as numbers, and tables of them in a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.bench import ROOT
from benchmarks.table import rewritten
from editsuite.editors import METHOD_HELP
from editsuite.files import write_text_atomically

CardName = Annotated[str, typer.Option(help="the card whose baselines are read")]
Page = Annotated[Path, typer.Option(help="the page with the markers")]
Baselines = Annotated[Path, typer.Option(help="folder of the baselines")]
DEFAULT_CARD, DEFAULT_BASELINES = "smollm2-135m-instruct", ROOT / "baselines"


@dataclass(frozen=True)
class Chain:
    """The baselines of one chain.

    Attributes:
        method: its method.
        where: its layers and batch size, as its file is named.
        values: by number of edits and name, the committed values.
    """

    method: str
    where: str
    values: Mapping[int, Mapping[str, float]]

    @classmethod
    def read(cls, file: Path) -> Chain:
        """Read a baseline file."""
        values: dict[int, dict[str, float]] = {}
        for name, group in json.loads(file.read_text(encoding="utf-8"))["baselines"].items():
            edits = int(name.rpartition("-n")[2].rstrip("]"))
            held = {n: float(o["value"]) for n, o in group["observations"].items()}
            values.setdefault(edits, {}).update(held)
        return cls(file.parent.name, file.stem, values)


def chains(folder: Path) -> Iterator[Chain]:
    """The standard chains of a card's baselines, in the methods' order."""
    for name in METHOD_HELP:
        for file in sorted((folder / name).glob("L*.json")):
            if file.stem.count(".") <= file.stem.count(".b"):  # of the built-in facts, seed 0
                yield Chain.read(file)


def write_tables(page: Path, tables: Sequence[str], marks: tuple[str, str]) -> None:
    """Write tables between the two markers of a page."""
    old = page.read_text(encoding="utf-8")
    write_text_atomically(page, rewritten(old, "\n\n".join(tables), marks))
    Console().print(f"{page}: written", soft_wrap=True)
