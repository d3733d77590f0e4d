"""The capabilities, by name; importing this imports no model and no benchmark."""

from __future__ import annotations

from collections.abc import Mapping

#: What each is, with the benchmark that the paper sees it by (Table 6).
CAPABILITIES: Mapping[str, str] = {
    "knowledge": "professional knowledge (MMLU)",
    "mathematics": "mathematical reasoning (MATH)",
    "reasoning": "comprehensive reasoning (BBH)",
    "entailment": "textual entailment (SuperGLUE AX-b)",
    "commonsense": "common sense (CommonsenseQA)",
    "reading": "reading comprehension in Chinese (C3)",
    "multilingual": "answers in many languages (TyDiQA)",
    "code": "programming (MBPP)",
}
#: What the measures of capabilities are called: ``capability.knowledge``.
PREFIX = "capability."
