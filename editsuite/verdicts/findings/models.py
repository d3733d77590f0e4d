"""Other models: larger ones, the chat model, Mistral and GPT2-XL (section 6, appendix F)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from editsuite.verdicts.findings.estimate import minus, shown
from editsuite.verdicts.findings.outcome import (
    GAP,
    MARGIN,
    Finding,
    Outcome,
    Part,
    absent,
    at_least,
    below,
    every,
    more,
)
from editsuite.verdicts.findings.reading import Reading, Readings
from editsuite.verdicts.findings.states import after, most, plain, where

#: Smaller and larger models of one family, by their cards.
SIZES = (("llama-2-7b", "llama-2-13b"), ("gpt2", "gpt2-xl"))
#: Models and what instruction tuning made of them.
TUNED = (("llama-2-7b", "llama-2-7b-chat"),)
#: Tasks near to the edited facts and tasks far from them (section 6, appendix D.2).
NEAR, FAR = ("knowledge", "commonsense"), ("multilingual", "code")
#: Less than half is left, a ruin by any reading of "completely damages" (appendix F.1).
RUINED = 0.5
#: "Explodes": ten times. Table 13 has 30 to 44 after 1000 edits of GPT2-XL.
EXPLODED = 10.0


def partners(model: str) -> tuple[str, ...]:
    """The models that findings compare a model with."""
    pairs = [pair for pair in (*SIZES, *TUNED) if model in pair]
    return tuple(sorted({name for pair in pairs for name in pair} - {model}))


def _both(
    readings: Readings, pairs: Sequence[tuple[str, str]], names: Sequence[str]
) -> Iterator[tuple[str, Reading, Reading]]:
    """Retentions of both models of each pair after the most edits that both have."""
    own = readings.of(method="rome", usual=1)
    for pair in pairs:
        for name in names:
            kind = own.of(f"{name}.retention")
            one, other = (kind.of(model=model) for model in pair)
            edits = most({*one.values("edits")} & {*other.values("edits")})
            if edits is None:
                continue
            first, second = one.of(edits=edits).sole, other.of(edits=edits).sole
            if first and second:
                yield f"{pair[0]} and {pair[1]}, {name}, {after(edits)}", first, second


def _better(
    readings: Readings, pairs: Sequence[tuple[str, str]], names: Sequence[str]
) -> Iterator[Part]:
    for name, one, other in _both(readings, pairs, names):
        verdict = more(minus(other, one), GAP)
        yield Part(name, verdict, f"retention {shown(one)} and {shown(other)}")


def _no_better(
    readings: Readings, pairs: Sequence[tuple[str, str]], names: Sequence[str]
) -> Iterator[Part]:
    for name, one, other in _both(readings, pairs, names):
        verdict = below(minus(other, one), MARGIN)
        yield Part(name, verdict, f"retention {shown(one)} and {shown(other)}")


def larger_models_hold_more(readings: Readings) -> Outcome:
    """Multilingual tasks and code."""
    return every(_better(readings, SIZES, FAR))


def larger_models_hold_knowledge_no_better(readings: Readings) -> Outcome:
    """Knowledge and commonsense."""
    return every(_no_better(readings, SIZES, NEAR))


def chat_holds_knowledge_better(readings: Readings) -> Outcome:
    """Knowledge and commonsense."""
    return every(_better(readings, TUNED, NEAR))


def chat_holds_the_rest_no_better(readings: Readings) -> Outcome:
    """Multilingual tasks and code."""
    return every(_no_better(readings, TUNED, FAR))


def ruined_by_two_hundred(readings: Readings) -> Outcome:
    """Each layer after 200 edits."""
    state = plain(readings).of("commonsense.retention", method="rome", edits=200)
    return every(
        Part(
            where(one.settings["layer"]),
            below(one, RUINED),
            f"retention of commonsense {shown(one)}",
        )
        for one in state
    )


def answers_outlive_language(readings: Readings) -> Outcome:
    """Each layer after the most edits: perplexity of text, and what is left of commonsense."""
    own, parts = plain(readings).of(method="rome"), []
    text = own.of("text_perplexity.ratio") or own.of("prose_perplexity.ratio")
    for layer, grown in text.by("layer").items():
        edits = most(grown.values("edits"))
        ratio = grown.of(edits=edits).sole if edits is not None else None
        if edits is None or ratio is None:
            continue
        name = f"{where(layer)}, {after(edits)}"
        words = f"perplexity of text {shown(ratio)} times the unedited model's"
        parts.append(Part(f"{name}, language", at_least(ratio, EXPLODED), words))
        left = own.of("commonsense.retention", layer=layer, edits=edits).sole
        if left is None:
            parts.append(absent(f"{name}, commonsense", "not observed"))
        else:
            verdict = at_least(left, 1 - MARGIN)
            parts.append(Part(f"{name}, commonsense", verdict, f"retention {shown(left)}"))
    return every(parts)


_FIGURE_3 = "Figure 3 prints no numbers, and the text tells none."
_PAIR = "after the most edits that both have, by ROME at its usual layer"
#: Of models of one family (section 6).
FINDINGS = (
    Finding(
        "larger-models-hold-more",
        "Larger models hold multilingual understanding and code better.",
        "Figure 3, section 6",
        f"The larger model's retentions are surely higher, and by 0.05 or more, {_PAIR}.",
        larger_models_hold_more,
        compares=True,
        printed="not observed",
        remark=_FIGURE_3,
    ),
    Finding(
        "larger-models-hold-knowledge-no-better",
        "Larger models hold knowledge no better.",
        "Figure 3, section 6",
        "The larger model's retentions of knowledge and commonsense are surely not 0.1 higher, "
        f"{_PAIR}.",
        larger_models_hold_knowledge_no_better,
        compares=True,
        printed="not observed",
        remark=_FIGURE_3,
    ),
    Finding(
        "chat-holds-knowledge-better",
        "Chat tuning makes knowledge last.",
        "Figure 3, section 6",
        "The tuned model's retentions of knowledge and commonsense are surely higher, and by "
        f"0.05 or more, {_PAIR}.",
        chat_holds_knowledge_better,
        compares=True,
        printed="not observed",
        remark=_FIGURE_3,
    ),
    Finding(
        "chat-holds-the-rest-no-better",
        "Chat tuning does not make code and multilingual understanding last.",
        "Figure 3, section 6",
        f"The tuned model's retentions of both are surely not 0.1 higher, {_PAIR}.",
        chat_holds_the_rest_no_better,
        compares=True,
        printed="not observed",
        remark=_FIGURE_3,
    ),
)
#: Of models of other families (appendix F).
OTHERS = (
    Finding(
        "ruined-by-200",
        "Mistral is ruined by 200 edits.",
        "Figure 9, appendix F.1",
        "The interval of commonsense's retention lies below 0.5 after 200 edits, for each layer.",
        ruined_by_two_hundred,
        model="mistral-7b-v0.1",
        printed="not observed",
        remark='Figure 9 prints no numbers; the text says "completely damages".',
    ),
    Finding(
        "answers-outlive-language",
        "GPT2-XL keeps CommonsenseQA while its perplexity explodes.",
        "Figure 10, Table 13, appendix F.2",
        "After the most edits the perplexity of text is 10 times the unedited model's or more, and "
        "commonsense's retention lies at 0.9 or above; at each layer.",
        answers_outlive_language,
        model="gpt2-xl",
        printed="not observed",
        remark="The perplexities of Table 13 bear it out. Figure 10 prints no scores, and the "
        "text tells "
        'none: the model "can still successfully answer some questions".',
    ),
)
