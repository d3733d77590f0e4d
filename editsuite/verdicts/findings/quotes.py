"""Numbers of the paper's running text that no table holds, as readings."""

from __future__ import annotations

import csv
from pathlib import Path

from statsmodels.stats.proportion import proportion_confint

from editsuite.errors import BaselineError
from editsuite.verdicts.findings.reading import Reading
from editsuite.verdicts.tables import Setting

COLUMNS = (
    *("section", "quantity", "model", "method", "layer", "edits"),
    *("printed", "value", "low", "high", "words"),
)


def quotes(file: Path, items: int | None = None) -> tuple[Reading, ...]:
    """Read the quotations; a share's interval is that of so many items, or what the words allow.

    Args:
        file: ``text.csv`` beside the tables.
        items: behind the score of CommonsenseQA, the only one that the text tells numbers of.

    Raises:
        BaselineError: the file cannot be read as that.
    """
    try:
        with file.open(encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text, strict=True))
        if not rows or any(tuple(row) != COLUMNS for row in rows):
            raise ValueError(f"its columns are to be {','.join(COLUMNS)}")
        return tuple(_reading(row, items) for row in rows)
    except (OSError, UnicodeError, csv.Error, ValueError, TypeError) as error:
        raise BaselineError(
            f"{file}: cannot be read as the numbers of the paper's text ({error}); take the file "
            "from the repository again"
        ) from error


def _reading(row: dict[str, str], items: int | None) -> Reading:
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    if items and row["quantity"] == "commonsense":
        a, b = proportion_confint(value * items, items, method="wilson")
        low, high = min(low, max(0.0, float(a))), max(high, float(b))
    settings: dict[str, Setting] = {
        "model": row["model"],
        "method": row["method"],
        "layer": row["layer"],
        "edits": int(row["edits"]),
        "batch": 1,
        "temperature": 0.0,
        "sample": "a",
    }
    return Reading(row["quantity"], settings, value, low, high, items, f"section {row['section']}")
