"""What there is to say of a batch that was written into several layers."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from editsuite.editors.protocol import LowRank, Recorded
from editsuite.editors.spread import Targets, Written
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest

#: Facts of a batch that a record names.
NAMED = 3


def batch_record(
    stack: DecoderStack,
    requests: Sequence[EditRequest],
    targets: Targets,
    written: Written,
    started: float,
) -> dict[str, Recorded]:
    """What there is to say of a batch: losses and steps as means over its facts, norms by layer."""
    found = targets.found
    norms = {layer: norm_of(change) for layer, change in written.changes.items()}
    names = ", ".join(request.id for request in requests[:NAMED])
    more = len(requests) - NAMED
    weights = [stack.loaded.down_proj_weight(layer).float().norm() for layer in norms]
    return {
        "facts": f"{names} and {more} more" if more > 0 else names,
        "batch": len(requests),
        "loss_before": mean([f.loss_before for f in found]),
        "loss_after": mean([f.loss_after for f in found]),
        "loss_after_worst": max(f.loss_after for f in found),
        "nll_before": mean([f.nll_before for f in found]),
        "nll_after": mean([f.nll_after for f in found]),
        "steps": mean([f.steps for f in found]),
        "already_known": sum(f.steps == 0 for f in found),
        "delta_norm": mean([float(f.delta.norm()) for f in found]),
        "missing_before": written.missing_before,
        "missing_after": written.missing_after,
        **{f"update_norm_{layer}": norm for layer, norm in norms.items()},
        "update_norm": sum(norm**2 for norm in norms.values()) ** 0.5,
        "weight_norm_before": float(torch.stack(weights).norm()),
        "seconds": time.perf_counter() - started,
    }


def mean(numbers: Sequence[float]) -> float:
    """The mean."""
    return sum(numbers) / len(numbers)


def norm_of(change: LowRank) -> float:
    """Frobenius norm of ``output input^T``, without making the product."""
    left, right = (f.double().T @ f.double() for f in (change.output, change.input))
    return float((left * right).sum().clamp(min=0).sqrt())
