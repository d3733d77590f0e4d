"""The rows of the data: observations as they were held against their baselines."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from editsuite.report.strict import ReportError, check_schema, number
from editsuite.report.text import format_value, visible

PASS, FAIL, NO_BASELINE, OBSERVED = "pass", "fail", "no baseline", "observed"
VERDICTS = (PASS, FAIL, NO_BASELINE, OBSERVED)

#: Retention says of a capability in one number what these say in three.
_SUMMED_UP = (".score", ".lost", ".won")
#: Of saliency the pattern says in few numbers what these say in many.
_FLOWS = ("saliency.s_", "saliency.strength.", "saliency_by_layer.")

#: Of the edited matrices, sizes that other numbers put in proportion; and all numbers by layer.
_IN_PROPORTION = (".spectral_change", ".condition_number", ".weight_norm")
_OF_LAYER = re.compile(r"\.L\d+$")

#: What pytest's exit status means where it is neither success nor failed tests.
_STOPPED = {2: "interrupted", 3: "internal error", 4: "usage error", 5: "no tests ran"}


@dataclass(frozen=True, order=True)
class Case:
    """What was edited how: a method and its layers, with the foreign text made visible."""

    method: str
    layer: str

    def __str__(self) -> str:
        return f"{self.method}, layer {self.layer}"


@dataclass(frozen=True)
class Row:
    """One observation and its verdict; the fields are those of the data.

    A value that is no number fails, whatever was said of it, unless there was no item to take a
    number of: that row is absent, and what was said of it holds.
    """

    case: Case
    edits: int
    name: str
    value: float
    n: int
    unit: str
    low: float
    high: float
    interval: str
    baseline: float | None
    tolerance: float | None
    verdict: str
    test: str

    @property
    def failed(self) -> bool:
        """Whether it stands outside its tolerance or is no number."""
        return self.verdict == FAIL

    @property
    def absent(self) -> bool:
        """Whether there was nothing to take a number of."""
        return self.n == 0 and math.isnan(self.value)

    @property
    def said(self) -> str:
        """The value for people; ``/`` where it is absent, as in the paper's Table 4."""
        return "/" if self.absent else format_value(self.value, self.unit)

    @property
    def aside(self) -> bool:
        """Whether it is left to the tables of the page: what other numbers sum up."""
        if self.name.startswith("parameters."):
            return self.name.endswith(_IN_PROPORTION) or bool(_OF_LAYER.search(self.name))
        summed_up = self.name.startswith("capability.") and self.name.endswith(_SUMMED_UP)
        return summed_up or self.name.startswith(_FLOWS)

    @property
    def exact(self) -> bool:
        """Whether nothing was sampled, so that the interval is the value."""
        return self.low == self.high == self.value


def case_of(record: Mapping[str, Any]) -> Case:
    """The case of a row or a chain; several layers are joined by hyphens."""
    layer = record.get("layer", "?")
    layers = layer if isinstance(layer, list | tuple) else [layer]
    return Case(visible(record.get("method", "?"), ""), visible("-".join(map(str, layers)), ""))


def rows_of(data: Mapping[str, Any]) -> tuple[Row, ...]:
    """All rows, ordered by method, layer and edits; within one count as the data has them.

    Raises:
        ReportError: the schema is another, or a row lacks a field or has an unknown verdict.
    """
    check_schema(data)
    rows = [_row(record, i) for i, record in enumerate(data.get("rows", ()))]
    return tuple(sorted(rows, key=lambda row: (case_order(row.case), row.edits)))


def case_order(case: Case) -> tuple[str, list[tuple[int, str]]]:
    """Sorting key that puts layer 5 before layer 20."""
    parts = case.layer.split("-")
    return case.method, [(int(p), "") if p.isdecimal() else (1 << 30, p) for p in parts]


def by_case(rows: Iterable[Row]) -> dict[Case, list[Row]]:
    """Rows of each method and layer, in the order of the rows."""
    found: dict[Case, list[Row]] = {}
    for row in rows:
        found.setdefault(row.case, []).append(row)
    return found


def headline(data: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The verdict in words, on one line.

    ``rome on smollm2-135m-instruct, layer 5: 85 observations, 84 within tolerance, 1 outside``
    """
    status = (data.get("run") or {}).get("exit_status", 0)
    model = visible((data.get("run") or {}).get("model", "unknown model"), "")
    methods = sorted({row.case.method for row in rows}) or ["nothing"]
    layers = list(dict.fromkeys(row.case.layer for row in rows))
    where = f", layer{'s' if len(layers) > 1 else ''} {', '.join(layers)}" if layers else ""
    said = [counted(rows)]
    if failures := len(data.get("failures") or ()):
        said.append(f"{failures} failed check{'s' if failures > 1 else ''}")
    if status in _STOPPED:
        said.append(_STOPPED[status])
    return f"{', '.join(methods)} on {model}{where}: {'; '.join(said)}"


def counted(rows: Sequence[Row]) -> str:
    """How many observations there are, and how they stand."""
    counts = Counter(row.verdict for row in rows)
    words = [f"{len(rows)} observation{'' if len(rows) == 1 else 's'}"]
    if counts[PASS] or counts[FAIL]:
        words += [f"{counts[PASS]} within tolerance", f"{counts[FAIL]} outside"]
    if counts[NO_BASELINE]:
        words.append(f"{counts[NO_BASELINE]} without a baseline")
    if counts[OBSERVED]:
        words.append(f"{counts[OBSERVED]} only observed")
    return ", ".join(words)


def succeeded(data: Mapping[str, Any], rows: Sequence[Row]) -> bool:
    """Whether the run can be called good: something was seen, and nothing went wrong."""
    status = (data.get("run") or {}).get("exit_status", 0)
    return not (data.get("failures") or status or not rows or any(row.failed for row in rows))


def verdict_word(data: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The shortest answer: ``Fail``, ``Pass``, or ``Not compared`` where there was no baseline."""
    if not succeeded(data, rows):
        return "Fail"
    return "Pass" if any(row.verdict == PASS for row in rows) else "Not compared"


def _row(record: Mapping[str, Any], index: int) -> Row:
    try:
        value, n = _value(record), int(record["n"])
        nothing = n == 0 and record["value"] is None
        verdict = record["verdict"] if math.isfinite(value) or nothing else FAIL
        if verdict not in VERDICTS:
            raise ReportError(f"unknown verdict {verdict!r}; known are: {', '.join(VERDICTS)}")
        return Row(
            case=case_of(record),
            edits=int(record["edits"]),
            name=visible(record["name"], ""),
            value=value,
            n=n,
            unit=visible(record["unit"], ""),
            low=value if nothing else _required(record.get("low", value)),
            high=value if nothing else _required(record.get("high", value)),
            interval=visible(record.get("interval", ""), ""),
            baseline=number(record.get("baseline")),
            tolerance=number(record.get("tolerance")),
            verdict=verdict,
            test=visible(record.get("test", ""), ""),
        )
    except (KeyError, TypeError, ValueError, ReportError) as error:
        said = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ReportError(f"row {index} of the report's data: {said}; mend the row") from error


def _value(record: Mapping[str, Any]) -> float:
    """The number; NaN where the record says that there was no item to take one of."""
    if record["value"] is None and int(record["n"]) == 0:
        return math.nan
    return _required(record["value"])


def _required(value: object) -> float:
    found = number(value)
    if found is None:
        raise ReportError("it has no number where one is needed (write NaN for 'no number')")
    return found
