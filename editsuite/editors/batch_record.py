"""What there is to say of a batch that was written into several layers."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from statistics import fmean

import torch

from editsuite.editors.change import norm_of
from editsuite.editors.protocol import Recorded
from editsuite.editors.single import names_of
from editsuite.editors.spread import Targets, Written
from editsuite.engine import DecoderStack
from editsuite.facts import EditRequest


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
    weights = [stack.loaded.down_proj_weight(layer).float().norm() for layer in norms]
    return {
        "facts": names_of(requests),
        "batch": len(requests),
        "loss_before": fmean([f.loss_before for f in found]),
        "loss_after": fmean([f.loss_after for f in found]),
        "loss_after_worst": max(f.loss_after for f in found),
        "nll_before": fmean([f.nll_before for f in found]),
        "nll_after": fmean([f.nll_after for f in found]),
        "steps": fmean([f.steps for f in found]),
        "already_known": sum(f.steps == 0 for f in found),
        "delta_norm": fmean([float(f.delta.norm()) for f in found]),
        "missing_before": written.missing_before,
        "missing_after": written.missing_after,
        **{f"update_norm_{layer}": norm for layer, norm in norms.items()},
        "update_norm": math.hypot(*norms.values()),
        "weight_norm_before": float(torch.stack(weights).norm()),
        "seconds": time.perf_counter() - started,
    }
