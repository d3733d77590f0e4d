"""CounterFact, in EasyEdit's flat form and in ROME's nested form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editsuite.facts.form import Form
from editsuite.facts.records import field_text, optional_text
from editsuite.facts.request import EditRequest, FieldError

_SLOT = "{}"


def _flat(record: Mapping[str, Any], identity: str) -> EditRequest:
    """Read a record of EasyEdit's `counterfact-*.json`."""
    locality = optional_text(record, "locality_prompt")
    answer = optional_text(record, "locality_ground_truth")
    return EditRequest(
        prompt=field_text(record, "prompt"),
        subject=field_text(record, "subject"),
        target_new=field_text(record, "target_new"),
        rephrase=optional_text(record, "rephrase_prompt"),
        locality_prompt=locality,
        locality_answer=answer if locality else None,
        id=identity,
    )


def _nested(record: Mapping[str, Any], identity: str) -> EditRequest:
    """Read a record of `counterfact.json` (Meng et al., 2022, section 3.3).

    The first paraphrase and the first neighborhood prompt are taken. Neighborhood prompts are
    about subjects that share the true object, so their answer is `target_true`.
    """
    subject = field_text(record, "requested_rewrite", "subject")
    template = field_text(record, "requested_rewrite", "prompt")
    if template.count(_SLOT) != 1:
        reason = f"({template!r}) has not exactly one place {_SLOT} for the subject"
        raise FieldError(identity, "requested_rewrite.prompt", reason, "mark the one place")
    locality = optional_text(record, "neighborhood_prompts")
    answer = optional_text(record, "requested_rewrite", "target_true", "str")
    return EditRequest(
        # Not str.format: a subject or a prompt may have braces of its own.
        prompt=template.replace(_SLOT, subject),
        subject=subject,
        target_new=field_text(record, "requested_rewrite", "target_new", "str"),
        rephrase=optional_text(record, "paraphrase_prompts"),
        locality_prompt=locality,
        locality_answer=answer if locality else None,
        relation=optional_text(record, "requested_rewrite", "relation_id"),
        id=identity,
    )


def _is_nested(record: Mapping[str, Any]) -> bool:
    return "requested_rewrite" in record


def _is_flat(record: Mapping[str, Any]) -> bool:
    marks = {"rephrase_prompt", "locality_ground_truth", "ground_truth", "case_id"}
    return "prompt" in record and not marks.isdisjoint(record)


FLAT = Form(
    "EasyEdit's CounterFact (prompt, subject, target_new, rephrase_prompt, locality_prompt, ...)",
    "counterfact",
    _is_flat,
    _flat,
    "report",
)
NESTED = Form(
    "ROME's CounterFact (requested_rewrite{...}, paraphrase_prompts, ...)",
    "counterfact",
    _is_nested,
    _nested,
    "report",
)
