"""The catalogue: all findings, and what becomes of them on one model."""

from __future__ import annotations

from collections.abc import Mapping

from editsuite.verdicts.findings import (
    capabilities,
    layers,
    models,
    parameters,
    perplexity,
    recall,
    saliency,
    settings,
    thresholds,
)
from editsuite.verdicts.findings.models import partners
from editsuite.verdicts.findings.outcome import Finding, Outcome
from editsuite.verdicts.findings.reading import Readings

#: In the order of the paper's sections.
FINDINGS: tuple[Finding, ...] = (
    *capabilities.FINDINGS,
    *recall.FINDINGS,
    *models.FINDINGS,
    *layers.FINDINGS,
    *settings.FINDINGS,
    *parameters.FINDINGS,
    *perplexity.FINDINGS,
    *saliency.FINDINGS,
    *thresholds.FINDINGS,
    *models.OTHERS,
    *saliency.OTHERS,
)


def about(readings: Readings, model: str) -> Readings:
    """The readings of a model, and of those that findings compare it with."""
    names = {model, *partners(model)}
    return Readings(tuple(one for one in readings if one.settings.get("model") in names))


def judge_all(readings: Readings, model: str | None = None) -> Mapping[str, Outcome]:
    """What becomes of each finding, by its id.

    Args:
        readings: of any models.
        model: the one to judge; None: the paper's own model of each finding.
    """
    return {one.id: judge_one(one, readings, model or one.model) for one in FINDINGS}


def judge_one(finding: Finding, readings: Readings, model: str) -> Outcome:
    """What becomes of a finding on a model.

    A finding that compares models sees all of them; the others see the model alone.
    """
    seen = about(readings, model) if finding.compares else readings.of(model=model)
    return finding.predicate(seen)
