"""Baselines that no check asks for any more.

A run asks for some counts, layers and checks; a baseline is left over only if this run has its
chain and its count, and still no check of that name exists.
"""

from __future__ import annotations

import re
from pathlib import Path

from editsuite.plugin.baseline_file import read_file, update_file
from editsuite.plugin.session import EditSession

_GROUP = re.compile(r"^(?P<check>[\w.]+)\[(?P<case>.+-n(?P<edits>\d+))\]$")


def leftovers(session: EditSession) -> list[str]:
    """``file::group`` for each baseline that is left over."""
    option = session.config.option
    chosen = [getattr(option, name, None) for name in ("ignore", "ignore_glob", "lf")]
    if any(chosen) or session.config.args_source.name == "ARGS":
        # Somebody chose files of checks; those of the others are not gone.
        return []
    found = []
    for file in sorted({session.baselines.file(case) for case in session.cases}):
        for group in read_file(file):
            match = _GROUP.match(group)
            known = match is not None and match["check"] in session.checks
            counted = match is None or int(match["edits"]) in session.settings.counts
            if counted and not known:
                found.append(f"{file}::{group}")
    return found


def remove(left: list[str]) -> None:
    """Take left-over groups out of their files."""
    for line in left:
        file, _, group = line.partition("::")
        update_file(Path(file), {group: None})
