"""What a hypernetwork is trained on: facts that no check asks about, as token sequences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from editsuite.errors import FactError
from editsuite.facts import EditRequest, FactSet, TokenizedTarget, target_tokens
from editsuite.facts.targets import token_ids
from editsuite.training.passages import Passages, digest_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Unrelated:
    """A text that has nothing to do with the fact.

    Attributes:
        ids: its tokens.
        held: the positions whose predictions must stay.
    """

    ids: tuple[int, ...]
    held: tuple[int, ...]


@dataclass(frozen=True)
class Lesson:
    """One fact to be edited in, and what is asked of the edited model.

    Attributes:
        fact: digest of the fact.
        prompt: the prompt that is edited, with its target.
        rephrase: other words for it with the same target, or the prompt again where the fact
            has none.
        unrelated: the fact's locality prompt with its answer, and a passage of plain text where
            the training has such.
    """

    fact: str
    prompt: TokenizedTarget
    rephrase: TokenizedTarget
    unrelated: tuple[Unrelated, ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        unrelated = (len(text.ids) for text in self.unrelated)
        return max(len(self.prompt.ids), len(self.rephrase.ids), *unrelated)


@dataclass(frozen=True)
class Lessons:
    """Facts chosen for a training.

    Attributes:
        train: to learn from.
        held_out: to stop by; no subject and no prompt of theirs is among the others.
        description: where the facts came from and how many were left out, for the file.
    """

    train: tuple[Lesson, ...]
    held_out: tuple[Lesson, ...]
    description: dict[str, object]


def apart_from(
    facts: Iterable[EditRequest], others: Iterable[EditRequest]
) -> tuple[EditRequest, ...]:
    """The facts that share neither a subject nor a prompt nor a rephrase with the others.

    Letter case is no difference.
    """
    subjects: set[str] = set()
    texts: set[str] = set()
    for other in others:
        subjects.add(other.subject.casefold())
        texts |= _texts(other)
    return tuple(
        fact
        for fact in facts
        if fact.subject.casefold() not in subjects and texts.isdisjoint(_texts(fact))
    )


def _texts(fact: EditRequest) -> set[str]:
    return {text.casefold() for text in (fact.prompt, fact.rephrase) if text is not None}


def choose_lessons(
    sources: Sequence[FactSet],
    checks: Sequence[FactSet],
    tokenizer: PreTrainedTokenizerBase,
    *,
    held_out: int,
    seed: int,
    longest: int,
    positions: int,
    at_most: int | None = None,
    passages: Passages | None = None,
) -> Lessons:
    """Choose facts for a training: apart from every fact that is checked, and from one another.

    Args:
        sources: facts to train on.
        checks: facts that may not be trained on, their tails included.
        tokenizer: the model's.
        held_out: facts to keep for stopping.
        seed: of the order, and so of which facts are held out.
        longest: tokens of a sequence at most; facts with a longer one are left out.
        positions: of an unrelated text whose predictions are held, at most.
        at_most: facts to learn from at most.
        passages: plain text, of which each fact gets a passage.

    Raises:
        FactError: too few facts remain.
    """
    offered = [fact for source in sources for fact in (*source.requests, *source.tail)]
    checked = [fact for check in checks for fact in (*check.requests, *check.tail)]
    free = apart_from(offered, checked)
    usable = [fact for fact in free if fact.locality_prompt is not None]
    order = sorted(usable, key=lambda fact: digest_of(f"{seed}:{fact.digest}"))
    stop, rest = order[:held_out], order[held_out:]
    lessons = tuple(
        tuple(
            lesson
            for fact in facts
            if (lesson := lesson_of(fact, tokenizer, positions, passages)).longest <= longest
        )
        for facts in (apart_from(rest, stop)[:at_most], stop)
    )
    if not all(lessons):
        raise FactError(
            f"of {len(offered)} training facts {len(free)} are about no checked fact, "
            f"{len(usable)} of these have a locality prompt, {len(lessons[0])} remain to train on "
            f"and {len(lessons[1])} to hold out; give more facts (--facts), with locality prompts"
        )
    description = {
        **({} if passages is None else {"texts": passages.description}),
        "sources": [
            {"name": s.name, "facts": len(s.requests) + len(s.tail), "digest": s.digest}
            for s in sources
        ],
        "apart_from": [{"name": c.name, "digest": c.digest} for c in checks],
        "offered": len(offered),
        "shared_with_checks": len(offered) - len(free),
        "without_locality": len(free) - len(usable),
        "train": len(lessons[0]),
        "train_digest": digest_of("".join(lesson.fact for lesson in lessons[0])),
        "held_out": len(lessons[1]),
        "held_out_digest": digest_of("".join(lesson.fact for lesson in lessons[1])),
    }
    return Lessons(lessons[0], lessons[1], description)


def lesson_of(
    fact: EditRequest,
    tokenizer: PreTrainedTokenizerBase,
    positions: int,
    passages: Passages | None = None,
) -> Lesson:
    """A fact with a locality prompt, as token sequences; see ``choose_lessons``."""
    prompt = target_tokens(tokenizer, fact.prompt, fact.target_new)
    rephrase = target_tokens(tokenizer, fact.rephrase or fact.prompt, fact.target_new)
    unrelated = " ".join(text for text in (fact.locality_prompt, fact.locality_answer) if text)
    texts = [token_ids(tokenizer, unrelated)]
    if passages is not None:
        texts.append(passages.of(fact.digest))
    held = (Unrelated(ids, spread(len(ids), positions)) for ids in texts)
    return Lesson(fact.digest, prompt, rephrase, tuple(held))


def spread(length: int, number: int) -> tuple[int, ...]:
    """At most ``number`` of ``length`` positions, evenly apart, the last one included."""
    number = min(number, length)
    return tuple((i + 1) * length // number - 1 for i in range(number))


def order_of(lessons: Sequence[Lesson], seed: int, epoch: int) -> list[Lesson]:
    """The lessons in the order of an epoch, the same in any process."""
    return sorted(lessons, key=lambda lesson: digest_of(f"{seed}:{epoch}:{lesson.fact}"))
