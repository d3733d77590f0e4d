"""Numbers and foreign text, written for people."""

from __future__ import annotations

import math
import unicodedata

#: Digits after the point.
_DECIMALS = {"share": 3, "perplexity": 2, "correlation": 4, "ratio": 4, "norm": 3, "count": 0}

#: Beyond this a number with a point has no readable width.
_LARGE = 1e5

#: Control and format characters, lone surrogates, private use: they move the cursor, turn the
#: writing direction or cannot be encoded.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co"})


def format_value(value: float | None, unit: str) -> str:
    """A number with the decimals that its unit deserves; ``none`` where there is no number."""
    if value is None:
        return "none"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if abs(value) >= _LARGE:
        return f"{value:.1e}"
    decimals = 0 if abs(value) >= 1000 else _DECIMALS.get(unit, 4)
    if 0 < abs(value) < 0.5 * 10**-decimals:
        return f"{value:.0e}"  # "0.000" would say that there is nothing
    return f"{value:.{decimals}f}"


def format_count(n: int) -> str:
    """A number of items in at most four characters: ``100``, ``6.3k``, ``885k``, ``45M``."""
    for factor, sign in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if n >= factor:
            scaled = n / factor
            return f"{scaled:.1f}{sign}" if scaled < 9.95 else f"{scaled:.0f}{sign}"
    return str(n)


def format_seconds(seconds: float | None) -> str:
    """A span of time: ``4.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def visible(text: object, keep: str = "\n\t") -> str:
    """Foreign text with its unseen characters written out, as in ``\\u202e``.

    A model's output may hold an escape sequence that rewrites the terminal, or a sign that turns
    the direction of what follows it on a page.

    Args:
        text: anything; its ``str`` is taken.
        keep: unseen characters that may stay.
    """
    return "".join(c if c in keep or not _unseen(c) else _written(c) for c in str(text))


def clip(text: str, length: int) -> str:
    """Text of at most ``length`` characters; says how many were left out."""
    if len(text) <= length:
        return text
    return f"{text[:length]} [... {len(text) - length} more characters]"


def _unseen(character: str) -> bool:
    # The zero-width joiner and the variation selectors belong to emoji and to Indic scripts.
    return character not in "\u200c\u200d" and unicodedata.category(character) in _UNSEEN


def _written(character: str) -> str:
    code = ord(character)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"


def edits_word(count: int) -> str:
    """``1 edit``, ``10 edits``."""
    return f"{count} edit" if count == 1 else f"{count} edits"
