"""The examination as a whole, and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from editsuite.cards.cache import cache_root
from editsuite.cards.default import DEFAULT_MODEL
from editsuite.cards.resolve import resolve_card
from editsuite.doctor import model, packages, system
from editsuite.doctor.row import Row, Status, setup_command

_COLOURS: Mapping[Status, str] = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.MISSING: "bold red",
}


def examine(cache: Path | None = None, verify: bool = False) -> tuple[Row, ...]:
    """Look at everything a run stands on.

    Args:
        cache: The cache folder; None for the default.
        verify: Read every byte of the converted model.

    Returns:
        One row for each thing, needed or not.
    """
    root = cache_root(cache)
    card = resolve_card(DEFAULT_MODEL)
    examinations: Mapping[str, Callable[[], Row]] = {
        "Python": system.python_row,
        "torch": packages.torch_row,
        "devices": packages.devices_row,
        "memory": lambda: system.memory_row(card),
        "disk": lambda: system.disk_row(card, root),
        "model wheel": lambda: model.wheel_row(card),
        "converted model": lambda: model.converted_row(card, root, verify),
        "cache": lambda: model.cache_row(root),
        "pytest plugin": packages.plugin_row,
        "pytest-xdist": lambda: packages.package_row("pytest-xdist", "3.8", "for pytest -n"),
        "syrupy": lambda: packages.package_row("syrupy", "7", "earlier ones lose updates"),
        "model hub": system.offline_row,
        "sandbox": system.sandbox_row,
        "data folder": system.data_row,
    }
    return tuple(_guarded(name, look) for name, look in examinations.items())


def _guarded(name: str, look: Callable[[], Row]) -> Row:
    # A doctor that breaks down over what is broken helps nobody.
    try:
        return look()
    except Exception as error:
        detail = f"cannot be examined: {type(error).__name__}: {error}"
        return Row(name, Status.MISSING, detail, setup_command())


def healthy(rows: Iterable[Row]) -> bool:
    """Say whether nothing needed is missing."""
    return all(row.status is not Status.MISSING for row in rows)


def render(rows: Iterable[Row], console: Console) -> None:
    """Show rows as a table, and below it the commands, unbroken, so that they can be copied."""
    rows = tuple(rows)
    table = Table("what", "state", "found", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        colour = _COLOURS[row.status]
        table.add_row(escape(row.name), f"[{colour}]{row.status}[/]", escape(row.detail))
    console.print(table)
    mends = [row for row in rows if row.status is not Status.OK and row.mend]
    if mends:
        console.print("\n[bold]To mend[/]")
    for row in mends:
        needed = "" if row.status is Status.MISSING else " (not needed now)"
        console.print(f"  {row.name}{needed}", style=_COLOURS[row.status], markup=False)
        console.print(f"    {row.mend}", markup=False, highlight=False, soft_wrap=True)
    if healthy(rows):
        console.print("\nEverything needed is here: [bold]pytest -m rome -n 2[/]")


def as_json(rows: Iterable[Row]) -> str:
    """Return rows as JSON: ``{"ok": ..., "rows": [{name, status, detail, mend}, ...]}``."""
    rows = tuple(rows)
    return json.dumps({"ok": healthy(rows), "rows": [asdict(row) for row in rows]})
