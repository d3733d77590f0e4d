"""Made-up, plausible data of a run, for the tests of the report."""

from __future__ import annotations

from typing import Any

MEASURES = (
    ("reliability.sequential.teacher_forced", "share"),
    ("reliability.sequential.generated", "share"),
    ("generalization.sequential.teacher_forced", "share"),
    ("generalization.sequential.generated", "share"),
    ("reliability.individual.teacher_forced", "share"),
    ("reliability.individual.generated", "share"),
    ("generalization.individual.teacher_forced", "share"),
    ("generalization.individual.generated", "share"),
    ("locality.teacher_forced", "share"),
    ("locality.generated", "share"),
    ("parameters.correlation", "correlation"),
    ("parameters.relative_drift", "ratio"),
    ("parameters.norm_ratio", "ratio"),
    ("perplexity.prose", "perplexity"),
    ("perplexity.prose_ratio", "ratio"),
)
COUNTS = (1, 10, 20, 50, 100)
TEST = "tests_editing/test_recall.py::test_recall"


def row(name: str, unit: str, layer: int, edits: int, **changes: Any) -> dict[str, Any]:
    """One row that passes, worse with more edits and with a deeper layer."""
    fade = (edits / 100) ** 0.6 * (1.0 if layer < 10 else 1.6)
    value, spread, n, interval = 1.0, 0.0, 885_000, "exact"
    if unit == "share":
        slower = 0.2 if "individual" in name else 1.0
        value = max(0.02, 1 - 0.45 * fade * slower - 0.15 * ("generated" in name))
        spread, n, interval = 0.4 / max(edits, 1) ** 0.5, edits, "wilson 95%"
    elif unit == "perplexity":
        value, spread, n, interval = 20.4 + 9 * fade, 1.7, 6312, "ratio over passages 95%"
    elif name.endswith("correlation"):
        value = 1 - 0.27 * fade
    elif name.endswith("drift"):
        value = 0.8 * fade
    else:
        value = 1 + 0.4 * fade
    high = min(1.0, value + spread) if unit == "share" else value + spread
    made = {
        "method": "rome", "layer": layer, "edits": edits, "name": name, "value": value, "n": n,
        "unit": unit, "low": max(0.0, value - spread), "high": max(value, high),
        "interval": interval, "baseline": value + 0.01, "tolerance": 0.05, "verdict": "pass",
        "test": f"{TEST}[rome-L{layer}-n{edits}]",
    }  # fmt: skip
    return {**made, **changes}


def edit(index: int, **changes: Any) -> dict[str, Any]:
    """One edit that worked."""
    made = {
        "index": index, "facts": f"builtin-{index:03d}", "prompt": "The capital of Ostravia is",
        "target": "Belmont", "nll_before": 9.1, "nll_after": 0.04, "steps": 25,
        "key_norm": 3.2, "denominator": 1.9, "update_norm": 4.7, "weight_norm_before": 88.1,
        "seconds": 11.4, "answer": "Belmont, a city",
    }  # fmt: skip
    return {**made, **changes}


def run_data(
    layers: tuple[int, ...] = (5,), counts: tuple[int, ...] = COUNTS, edits: int = 3
) -> dict[str, Any]:
    """The data of a run in which every check passed."""
    rows = [
        row(name, unit, layer, count)
        for layer in layers for count in counts for name, unit in MEASURES
    ]  # fmt: skip
    chains = [
        {"method": "rome", "layer": layer, "plan": "5f" * 16,
         "edits": [edit(i + 1) for i in range(edits)]}
        for layer in layers
    ]  # fmt: skip
    run = {
        "started": "2026-11-23T03:20:00+00:00", "seconds": 912.0, "command": "pytest -m rome -n 2",
        "model": "smollm2-135m-instruct", "model_digest": "ab" * 32, "dtype": "float32",
        "device": "cpu", "threads": 1, "workers": 2, "facts": "builtin", "seed": 0,
        "versions": {"editsuite": "0.1.0", "torch": "2.13.0"}, "exit_status": 0,
    }  # fmt: skip
    return {"schema": 1, "run": run, "rows": rows, "chains": chains, "failures": []}
