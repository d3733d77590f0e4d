"""Which of its short cuts the engine takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ways:
    """The engine's short cuts; with any of them off the answer is the same.

    Attributes:
        fast_linear: multiply by oneDNN where it can (float32 on a CPU); off, every product is
            the one that transformers would make.
        share_prefixes: run a prefix that several requests have in common once.
        narrow_logits: make logits only at the positions that are read.
        written_out: run the layers above an edit by ``Tail`` where the architecture allows.
        guess_repeats: run a text that repeats itself several guessed tokens at a time.
    """

    fast_linear: bool = True
    share_prefixes: bool = True
    narrow_logits: bool = True
    written_out: bool = True
    guess_repeats: bool = True
