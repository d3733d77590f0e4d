"""One self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from editsuite.report.charts import Chart, draw_charts
from editsuite.report.panels import panels_of
from editsuite.report.rows import Row, case_of, counted, headline, rows_of, verdict_word
from editsuite.report.strict import number
from editsuite.report.text import (
    clip,
    edits_word,
    format_count,
    format_seconds,
    format_value,
    visible,
)

#: Bytes that pictures, rows, and edits may take on the page, each; the observations hold all.
_ROOM = 750_000
#: Markup around the cells of a row, in bytes.
_MARKUP = 430
_FAILURES, _MESSAGE, _CELL, _DIGEST = 40, 3000, 300, 12

_EDIT_NUMBERS = (
    "nll_before", "nll_after", "steps", "key_norm", "denominator", "update_norm",
    "weight_norm_before", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class ChainView:
    """The edits of one chain as the page shows them; ``left_out`` did not fit."""

    title: str
    edits: tuple[Mapping[str, str], ...]
    left_out: int


def render_page(data: Mapping[str, Any]) -> str:
    """Draw the page.

    It needs no network and no other file, stays under 3 MB, and says where something was left
    out. Facts, answers and messages are foreign text: they are escaped, clipped, and their
    control characters are written out. Equal data gives equal bytes.

    Args:
        data: the data of ``observations.json``.

    Returns:
        The HTML.

    Raises:
        ReportError: the data is malformed.
    """
    rows = rows_of(data)
    shown, charts = _fitting(rows), _charts(rows)
    style, script = _source("page.css"), _source("page.js")
    failures = list(data.get("failures") or ())
    return _template().render(
        style=style,
        script=script,
        policy=_policy(script),
        headline=headline(data, rows),
        word=verdict_word(data, rows),
        rows=shown,
        rows_left_out=len(rows) - len(shown),
        outside=[row for row in shown if row.failed],
        counted=counted(rows),
        charts=charts,
        charts_left_out=len(panels_of(rows)) - len(charts),
        failures=[_failure(f) for f in failures[:_FAILURES]],
        failures_left_out=max(0, len(failures) - _FAILURES),
        chains=_chains(data.get("chains") or ()),
        provenance=_provenance(data.get("run") or {}),
    )


def _charts(rows: Sequence[Row]) -> list[Chart]:
    """The pictures there is room for."""
    charts = draw_charts(rows) if rows else ()
    ends = accumulate(len(chart.svg.encode("utf-8")) for chart in charts)
    return [chart for chart, end in zip(charts, ends, strict=True) if end <= _ROOM]


def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(value=format_value, count=format_count, edits=edits_word)
    return environment.from_string(_source("page.html"))


def _source(name: str) -> str:
    file = resources.files("editsuite.report") / "templates" / name
    return file.read_text(encoding="utf-8")


def _policy(script: str) -> str:
    # Even if something slipped through the escaping, only this one script may run.
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _failure(record: Mapping[str, Any]) -> dict[str, str]:
    return {
        "test": clip(visible(record.get("test", "?")), _CELL),
        "message": clip(visible(record.get("message", "")), _MESSAGE),
    }


def _fitting(rows: Sequence[Row]) -> list[Row]:
    """The rows there is room for; the failed ones first get theirs."""
    room, kept = _ROOM, set()
    for i in sorted(range(len(rows)), key=lambda i: (not rows[i].failed, i)):
        row = rows[i]
        room -= _size((row.name, row.test, str(row.case)) * 2) + _MARKUP
        if room < 0:
            break
        kept.add(i)
    return [row for i, row in enumerate(rows) if i in kept]


def _chains(records: Sequence[Mapping[str, Any]]) -> list[ChainView]:
    share = _ROOM // max(len(records), 1)
    views = []
    for record in records:
        edits, room, shown = list(record.get("edits") or ()), share, []
        for edit in map(_edit, edits):
            room -= _size(edit.values()) + _MARKUP
            if room < 0:
                break
            shown.append(edit)
        plan = visible(record.get("plan", "?"), "")[:_DIGEST]
        title = f"{case_of(record)}: {edits_word(len(edits))}, plan {plan}"
        views.append(ChainView(title, tuple(shown), len(edits) - len(shown)))
    return views


def _edit(record: Mapping[str, Any]) -> dict[str, str]:
    words = ("index", "facts", "prompt", "target", "answer")
    cells = {key: clip(visible(record.get(key, "")), _CELL) for key in words}
    if record.get("answer") is None:
        cells["answer"] = "not asked"
    for key in _EDIT_NUMBERS:
        value = number(record.get(key))
        if value is None:
            cells[key] = "none"
        elif key == "steps" and value.is_integer():
            cells[key] = str(int(value))
        else:
            cells[key] = format_value(value, "norm")
    return cells


def _provenance(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for key, value in run.items():
        if key == "versions" and isinstance(value, Mapping):
            pairs += [(f"{name} (version)", str(value[name])) for name in sorted(value)]
        elif key == "seconds":
            pairs.append(("duration", format_seconds(number(value))))
        else:
            pairs.append((key.replace("_", " "), "none" if value is None else str(value)))
    ordered = sorted(pairs, key=lambda pair: ("(version)" in pair[0], pair[0]))
    return [(visible(k, ""), clip(visible(v), 2000)) for k, v in ordered]


def _size(texts: Iterable[str]) -> int:
    return sum(len(html.escape(text).encode("utf-8")) for text in texts)
