"""The texts a covariance is computed from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from editsuite.engine import DecoderStack, generate
from editsuite.errors import OptionError
from editsuite.files import write_text_atomically

#: Sampling for ``self``: plain text at temperature 1, as the model itself distributes it.
SELF_SEQUENCES = 128
SELF_TOKENS = 250
SELF_SEED = 0


@dataclass(frozen=True)
class Corpus:
    """Texts with a name and a digest that say which texts they are."""

    name: str
    texts: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Hex sha256 of the texts."""
        return hashlib.sha256(json.dumps(self.texts).encode()).hexdigest()


def read_corpus(spec: str, stack: DecoderStack, cache: Path) -> Corpus:
    """Open the corpus that ``mom2_corpus`` names.

    Args:
        spec: ``self`` (sampled from the model itself; shipped for the embedded default) or
            ``file:PATH`` (one text a line, UTF-8).
        stack: the unedited model.
        cache: where sampled texts are kept.

    Raises:
        OptionError: an unknown corpus, or a file that cannot be read.
    """
    if spec == "self":
        return Corpus("self", _shipped(stack.loaded.card.name) or _sampled(stack, cache))
    if spec.startswith("file:"):
        path = Path(spec.removeprefix("file:")).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(
                f"mom2_corpus {spec}: {path} cannot be read as UTF-8 text ({error}); give a text "
                "file with one passage a line"
            ) from error
        return Corpus(path.name, tuple(line for line in text.splitlines() if line.strip()))
    raise OptionError(f"mom2_corpus is {spec!r}; it can be self, file:PATH or npz:PATH")


def _shipped(card: str) -> tuple[str, ...] | None:
    file = resources.files("editsuite.editors") / "data" / f"self-{card}.jsonl"
    if not file.is_file():
        return None
    return tuple(json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())


def _sampled(stack: DecoderStack, cache: Path) -> tuple[str, ...]:
    path = cache / "corpora" / f"self-{stack.loaded.digest[:32]}.jsonl"
    if not path.exists():
        texts = sample_texts(stack, SELF_SEQUENCES, SELF_TOKENS, SELF_SEED)
        write_text_atomically(path, "".join(json.dumps(text) + "\n" for text in texts))
    return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def sample_texts(
    stack: DecoderStack, sequences: int, tokens: int, seed: int, *, start: str | None = None
) -> tuple[str, ...]:
    """Let the model write: ``sequences`` texts of ``tokens`` tokens, one seed each.

    Args:
        stack: the unedited model.
        sequences: how many texts.
        tokens: length of each; a document that ends is followed by the next.
        seed: text ``i`` draws with ``seed * 1_000_003 + i``.
        start: what the model continues, left out of the texts; its start-of-text token where
            None (its end-of-text token where it has no other).
    """
    tokenizer = stack.loaded.tokenizer
    if start is not None:
        first = tuple(tokenizer(start)["input_ids"])
    elif tokenizer.bos_token_id is not None:
        first = (tokenizer.bos_token_id,)
    else:
        first = (tokenizer.eos_token_id,)
    new = generate(
        stack,
        [first] * sequences,
        max_new_tokens=tokens,
        temperature=1.0,
        seeds=[seed * 1_000_003 + i for i in range(sequences)],
        token_budget=64 * (tokens + len(first)),
    )
    return tuple(str(tokenizer.decode(list(ids), skip_special_tokens=True)) for ids in new)
