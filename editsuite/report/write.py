"""A report on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from editsuite.files import write_text_atomically
from editsuite.report.strict import dump_json

OBSERVATIONS, PAGE = "observations.json", "report.html"


def write_report(folder: Path, data: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write ``observations.json``, then ``report.html``.

    The observations come first: they are on disk even where the page cannot be drawn.

    Args:
        folder: made where it is absent.
        data: the data, schema 1; floats may be NaN.

    Returns:
        The two paths.

    Raises:
        ReportError: the data is malformed; the message says where.
        OSError: the folder cannot be written.
    """
    from editsuite.report.page import render_page  # draws, so it costs a second to import

    observations, page = folder / OBSERVATIONS, folder / PAGE
    write_text_atomically(observations, dump_json(data))
    write_text_atomically(page, render_page(data))
    return observations, page
