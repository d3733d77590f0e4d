"""``editsuite cache``: what is kept, whether it is whole, and what may go."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(
    help="List, verify and prune chains, looks, covariances and models that are kept.",
    no_args_is_help=True,
)

CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--edit-cache",
        metavar="DIR",
        help="The cache folder. Default: EDITSUITE_CACHE, else the platform's cache folder.",
    ),
]


@app.command()
def ls(cache: CacheOption = None) -> None:
    """List what is kept. Example: [bold]editsuite cache ls[/]"""
    from editsuite.cards import cache_root
    from editsuite.runs.housekeeping import kept

    root = cache_root(cache)
    table = Table("kind", "what", "files", "size", "last written", "folder", title=str(root))
    for one in kept(root):
        when = datetime.fromtimestamp(one.used).isoformat(" ", "minutes")
        size = f"{one.bytes / 1e6:.1f} MB"
        table.add_row(one.kind, escape(one.title), str(one.files), size, when, one.path.name[:16])
    Console().print(table)


@app.command()
def verify(
    cache: CacheOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove damaged files; they are made anew when needed.")
    ] = False,
) -> None:
    """Check every edit and covariance; exits with 1 where one is damaged.

    Example: [bold]editsuite cache verify[/]
    """
    from editsuite.cards import cache_root
    from editsuite.runs.housekeeping import damaged

    console, root = Console(soft_wrap=True), cache_root(cache)
    found = list(damaged(root))
    for path, reason in found:
        console.print(f"[red]damaged[/] {escape(reason)}")
        if prune:
            path.unlink(missing_ok=True)
            console.print(f"removed {escape(str(path))}")
    console.print(f"{root}: {len(found)} damaged file(s)")
    if found and not prune:
        raise typer.Exit(1)


@app.command()
def prune(
    cache: CacheOption = None,
    days: Annotated[
        float, typer.Option("--days", min=0, help="Keep what was written to in so many days.")
    ] = 30.0,
) -> None:
    """Remove chains and looks that were not used for a while; models stay.

    Example: [bold]editsuite cache prune --days 7[/]
    """
    from editsuite.cards import cache_root
    from editsuite.runs.housekeeping import prune as remove_old

    root = cache_root(cache)
    removed = remove_old(root, days)
    freed = sum(one.bytes for one in removed) / 1e6
    Console(soft_wrap=True).print(f"{root}: removed {len(removed)} item(s), {freed:.1f} MB")
