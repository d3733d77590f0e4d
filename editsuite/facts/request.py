"""The fact to teach, and where its subject stands in a text."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass, fields
from functools import cached_property

from editsuite.errors import FactError

_REQUIRED = ("prompt", "subject", "target_new")


class FieldError(FactError):
    """One field of one fact cannot be used.

    Attributes:
        field: name of the field, as its source writes it.
        reason: what is wrong with it, without place and mend.
        mend: what to do about it.
    """

    def __init__(self, where: str, field: str, reason: str, mend: str) -> None:
        super().__init__(f"{where}: field `{field}` {reason}; {mend}")
        self.field = field
        self.reason = reason
        self.mend = mend


@dataclass(frozen=True)
class EditRequest:
    """One thing to teach a model.

    Every text is brought to Unicode's NFC form, so that the same name written with composed or
    with combining accents is one subject with one digest; nothing else is changed. Braces have
    no meaning in any field.

    Attributes:
        prompt: the question, or the sentence to be continued, without its answer.
        subject: the thing the fact is about, verbatim in `prompt`.
        target_new: the answer to teach.
        rephrase: the same question in other words, or None.
        locality_prompt: a question about something else, whose answer must stay, or None.
        locality_answer: the true answer to `locality_prompt`, or None where it is not known.
        relation: name of the relation, or None.
        id: name of the fact in its set; made from the digest where left empty.

    Raises:
        FactError: a required field is blank, a text is no text, the subject does not occur in
            the prompt, or a locality answer stands without its prompt.
    """

    prompt: str
    subject: str
    target_new: str
    rephrase: str | None = None
    locality_prompt: str | None = None
    locality_answer: str | None = None
    relation: str | None = None
    id: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            clean = self._clean(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, clean)
        if self.subject not in self.prompt:
            reason = f"({self.subject!r}) does not occur in the prompt {self.prompt!r}"
            self._refuse("subject", reason, "write the subject exactly as the prompt does")
        if self.locality_answer is not None and self.locality_prompt is None:
            mend = "give the prompt too, or leave the answer out"
            self._refuse("locality_answer", "stands without a locality_prompt", mend)
        if not self.id:
            object.__setattr__(self, "id", f"fact-{self.digest[:12]}")

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the canonical JSON of all fields but `id`.

        The id says where a fact stands in a file, not what it teaches, so it stays outside: the
        same fact has the same digest in any file, and any chain it belongs to has the same plan.
        """
        content = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "id"}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    def _refuse(self, field: str, reason: str, mend: str) -> None:
        raise FieldError(f"fact {self.id or '(no id)'}", field, reason, mend)

    def _clean(self, field: str, value: object) -> str | None:
        if value is None and field not in (*_REQUIRED, "id"):
            return None
        if not isinstance(value, str):
            self._refuse(field, f"is {type(value).__name__}, not text", "write it as a string")
        text = unicodedata.normalize("NFC", str(value))
        if field != "id" and not text.strip():
            mend = "fill it in" if field in _REQUIRED else "leave it out (None) or fill it in"
            self._refuse(field, "is empty", mend)
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            self._refuse(field, "holds half a surrogate pair", "write the character itself")
        return text


def subject_span(text: str, subject: str) -> tuple[int, int]:
    """Find the occurrence of a subject that an edit attaches to.

    Whole words go first ("Ann" in "Hannah and Ann" is the second one). Where several remain, the
    last one is taken: only there has the model read most of the prompt, so the key computed at
    the subject's last token knows what is being asked. ROME's papers leave this case open.

    Args:
        text: any text, searched as it is (no normalisation: the span counts its characters).
        subject: the name to find.

    Returns:
        First character of the occurrence and the one after its last.

    Raises:
        FactError: the subject is blank, or does not occur in the text.
    """
    if not subject.strip():
        raise FactError(f"the subject looked for in {text!r} is empty; give the fact a subject")
    starts = []
    start = text.find(subject)
    while start >= 0:
        starts.append(start)
        start = text.find(subject, start + 1)
    if not starts:
        raise FactError(
            f"the subject {subject!r} does not occur in {text!r}; "
            "write the subject exactly as the text does"
        )
    whole = [at for at in starts if _stands_alone(text, at, at + len(subject))]
    start = (whole or starts)[-1]
    return start, start + len(subject)


def _stands_alone(text: str, start: int, end: int) -> bool:
    before = start > 0 and _in_word(text[start - 1]) and _in_word(text[start])
    after = end < len(text) and _in_word(text[end - 1]) and _in_word(text[end])
    return not before and not after


def _in_word(char: str) -> bool:
    # Marks count as letters: a vowel sign of Bengali or Hindi does not end a word.
    return char.isalnum() or char == "_" or unicodedata.category(char).startswith("M")
