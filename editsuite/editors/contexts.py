"""Context prefixes: short texts set before a prompt, so that a key holds in any context.

ROME averages the subject's key over prefixes (Meng et al. 2022, section 3.1: ``x_j + s``). The
reference draws them from the model without a seed and keeps them in a module's global, so that
what an edit does depends on what ran before it. Here they are a function of model, seed and
number, are drawn once, kept on disk, and belong to the plan.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from editsuite.engine import DecoderStack, generate
from editsuite.files import write_text_atomically

#: The reference's first words and lengths (kmeng01/rome, ``get_context_templates``).
FIRST_WORDS = ("The", "Therefore", "Because", "I", "You")
LENGTHS = (5, 10)
TOP_K = 5
VERSION = 1


def context_prefixes(stack: DecoderStack, *, n: int, seed: int, cache: Path) -> tuple[str, ...]:
    """The empty prefix followed by ``n - 1`` sampled ones.

    The first ``m`` prefixes are the same for every ``n >= m``: each is drawn with a seed of its
    own. A first word serves in turn; five prefixes are of length 5, the next five of length 10,
    and so on.

    Args:
        stack: the unedited model.
        n: number of prefixes, the empty one included.
        seed: the plan's seed.
        cache: folder in which the drawn texts are kept.
    """
    identity = json.dumps([VERSION, stack.loaded.digest, seed, n])
    path = cache / "contexts" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            kept = _kept(path, identity)
            if kept is not None:
                return kept
            warnings.warn(
                f"{path} is damaged or foreign; the prefixes are drawn anew", stacklevel=2
            )
        prefixes = ("", *_sample(stack, n - 1, seed))
        held = {"identity": identity, "prefixes": prefixes, "digest": _digest(identity, prefixes)}
        write_text_atomically(path, json.dumps(held))
    return prefixes


def _kept(path: Path, identity: str) -> tuple[str, ...] | None:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        prefixes = tuple(held["prefixes"])
        sound = held["digest"] == _digest(identity, prefixes)
    except (ValueError, TypeError, KeyError):
        return None
    return prefixes if sound else None


def _digest(identity: str, prefixes: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([identity, *prefixes]).encode()).hexdigest()


def _sample(stack: DecoderStack, n: int, seed: int) -> list[str]:
    tokenizer = stack.loaded.tokenizer
    words = [FIRST_WORDS[i % len(FIRST_WORDS)] for i in range(n)]
    lengths = [LENGTHS[(i // len(FIRST_WORDS)) % len(LENGTHS)] for i in range(n)]
    # After a line break: as the first token of all, a bare word is the attention sink of many
    # models, and what they write after it is no language ("The-the-key-").
    prompts = [tokenizer("\n" + word)["input_ids"] for word in words]
    texts: list[str] = []
    for i in range(n):
        # One at a time: in a batch the padding would move the last bits of a probability, and
        # with them, once in a great while, a draw.
        (new,) = generate(
            stack,
            [prompts[i]],
            max_new_tokens=lengths[i],
            temperature=1.0,
            top_k=TOP_K,
            seeds=[seed * 1_000_003 + i],
        )
        text = str(tokenizer.decode([*prompts[i], *new], skip_special_tokens=True))
        texts.append(" ".join(text.split()).rstrip(".") + ". ")
    return texts
