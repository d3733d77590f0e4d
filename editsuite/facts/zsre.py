"""ZsRE, in the form of MEND and in the form of KnowEdit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editsuite.facts.form import Form
from editsuite.facts.records import field_text, optional_text
from editsuite.facts.request import EditRequest


def _mend(record: Mapping[str, Any], identity: str) -> EditRequest:
    """Read a record of MEND's `zsre_mend_*.json` (Mitchell et al., 2022).

    The target is `alt`, as in EasyEdit; a file without `alt` at all gives `answers[0]`, as MEMIT
    takes it. An empty `alt` is a bad record, never a reason to teach the true answer. The
    locality prompt keeps its marker "nq question: ", as EasyEdit's and MEMIT's readers keep it:
    published locality numbers were measured with it.
    """
    locality = optional_text(record, "loc")
    return EditRequest(
        prompt=field_text(record, "src"),
        subject=field_text(record, "subject"),
        target_new=field_text(record, "alt" if "alt" in record else "answers"),
        rephrase=optional_text(record, "rephrase"),
        locality_prompt=locality,
        locality_answer=optional_text(record, "loc_ans") if locality else None,
        id=identity,
    )


def _knowedit(record: Mapping[str, Any], identity: str) -> EditRequest:
    """Read a record of KnowEdit (Zhang et al., 2024), as in its `ZsRE-test-all.json`.

    Of several locality prompts the first is taken, of an answer with aliases the first; those of
    `Relation_Specificity` go before those of `Forgetfulness` (EasyEdit's order).
    """
    group = "Relation_Specificity"
    if optional_text(record, "locality", group, "prompt") is None:
        group = "Forgetfulness"
    locality = optional_text(record, "locality", group, "prompt")
    return EditRequest(
        prompt=field_text(record, "prompt"),
        subject=field_text(record, "subject"),
        target_new=field_text(record, "target_new"),
        rephrase=optional_text(record, "rephrase_prompt"),
        locality_prompt=locality,
        locality_answer=(
            optional_text(record, "locality", group, "ground_truth") if locality else None
        ),
        id=identity,
    )


def _is_mend(record: Mapping[str, Any]) -> bool:
    return "src" in record and ("alt" in record or "answers" in record)


def _is_knowedit(record: Mapping[str, Any]) -> bool:
    nested = isinstance(record.get("locality"), Mapping) or "portability" in record
    return "prompt" in record and nested


MEND = Form("MEND's ZsRE (src, subject, alt, ...)", "zsre", _is_mend, _mend, "report")
KNOWEDIT = Form(
    "KnowEdit's ZsRE (prompt, subject, target_new, locality{...}, ...)",
    "zsre",
    _is_knowedit,
    _knowedit,
    "report",
)
