"""The covariance is the mean of ``k k^T`` over a text, kept, imported, and never taken on trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from editsuite.cards import FAMILIES, tiny_model
from editsuite.editors.covariance import CovarianceSource, have_ready
from editsuite.editors.moments import second_moments
from editsuite.engine import DecoderStack
from editsuite.errors import EditsuiteError, OptionError
from editsuite.sealed import find_sealed

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = sorted(FAMILIES)
LINES = [f"Mill number {i} of {i * 13} stands by the river, {i} miles from Ash." for i in range(60)]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


def source(text: Path, cache: Path, architecture: str = "llama", **given: Any) -> CovarianceSource:
    stack = DecoderStack(tiny_model(architecture, 31))
    settings = {"layer": 1, "corpus": f"file:{text}", "n_tokens": 100_000, **given}
    return CovarianceSource(stack, cache=cache, **settings)


@torch.no_grad()
def moment_by_hand(architecture: str, lines: list[str], layer: int) -> tuple[Tensor, int]:
    """``sum k k^T`` in float64, a text and a key at a time, by transformers' own forward pass."""
    loaded = tiny_model(architecture, 31)
    loaded.model.double()
    model: Any = loaded.model
    total, count = torch.zeros(128, 128, dtype=torch.float64), 0
    caught: list[Tensor] = []
    handle = loaded.down_proj(layer).register_forward_pre_hook(
        lambda _, inputs: caught.append(inputs[0][0])
    )
    for line in lines:
        model(input_ids=torch.tensor([loaded.tokenizer(line)["input_ids"]]))
        for key in caught.pop():
            total += torch.outer(key, key)
            count += 1
    handle.remove()
    return total, count


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_the_mean_outer_product_of_the_keys(
    architecture: str, text: Path, tmp_path: Path
) -> None:
    total, count = moment_by_hand(architecture, LINES, 1)
    ours = source(text, tmp_path, architecture).matrix
    assert ours.dtype == torch.float64
    assert float((ours - total / count).norm() / (total / count).norm()) < 1e-5


def test_padding_and_batches_do_not_count() -> None:
    stack = DecoderStack(tiny_model("gpt2", 31))
    tokenizer = stack.loaded.tokenizer
    pieces = [tokenizer(line[: 10 + 3 * i])["input_ids"] for i, line in enumerate(LINES[:9])]
    (whole,) = second_moments(stack, [2], pieces)
    (alone,) = second_moments(stack, [2], pieces, token_budget=1)
    assert whole.count == alone.count == sum(len(piece) for piece in pieces)
    torch.testing.assert_close(whole.total, alone.total, rtol=1e-5, atol=1e-5)


def test_the_token_limit_holds(text: Path, tmp_path: Path) -> None:
    limited = source(text, tmp_path, n_tokens=300)
    (moment,) = second_moments(limited._stack, [1], limited._pieces())
    assert moment.count == 300
    assert limited.identity != source(text, tmp_path, n_tokens=301).identity


@pytest.mark.parametrize("other", [{"layer": 2}, {"n_tokens": 200}, {"architecture": "gpt2"}])
def test_whatever_changes_the_matrix_changes_its_identity(
    other: dict[str, Any], text: Path, tmp_path: Path
) -> None:
    first, second = source(text, tmp_path), source(text, tmp_path, **other)
    assert first.identity != second.identity
    assert not torch.equal(first.matrix, second.matrix)
    assert len(find_sealed(tmp_path / "covariance", "*")) == 2


def test_solving_undoes_the_matrix(text: Path, tmp_path: Path) -> None:
    held = source(text, tmp_path)
    key = torch.randn(128, generator=torch.Generator().manual_seed(0))
    ridge = 1e-6 * held.matrix.diagonal().mean()
    back = (held.matrix + ridge * torch.eye(128).double()) @ held.solve(key).double()
    assert float((back - key.double()).norm() / key.norm()) < 1e-3


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("computed again")


def test_a_kept_matrix_is_read(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = source(text, tmp_path).matrix
    monkeypatch.setattr("editsuite.editors.covariance.second_moments", refuse)
    assert torch.equal(source(text, tmp_path).matrix, first)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign"])
def test_a_file_that_cannot_be_trusted_is_named_and_made_anew(
    damage: str, text: Path, tmp_path: Path
) -> None:
    first = source(text, tmp_path).matrix
    (path,) = find_sealed(tmp_path / "covariance", "*")
    content = bytearray(path.read_bytes())
    if damage == "foreign":
        source(text, tmp_path / "other", layer=2).ready()
        (foreign,) = find_sealed(tmp_path / "other" / "covariance", "*")
        path.unlink()
        path = path.with_name(path.name[:33] + foreign.name[33:])
        path.write_bytes(foreign.read_bytes())
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(content[: 0 if damage == "empty" else -5])
    with pytest.warns(UserWarning, match=path.name):
        assert torch.equal(source(text, tmp_path).matrix, first)
    assert torch.equal(source(text, tmp_path).matrix, first)


def test_a_file_in_the_references_form_is_read(text: Path, tmp_path: Path) -> None:
    total, count = moment_by_hand("llama", LINES, 1)
    path = tmp_path / "stats.npz"
    arrays: dict[str, Any] = {"mom2.mom2": total.float().numpy(), "mom2.count": np.int64(count)}
    np.savez(path, **arrays)
    held = source(text, tmp_path, corpus=f"npz:{path}")
    torch.testing.assert_close(held.matrix, source(text, tmp_path).matrix, rtol=1e-4, atol=1e-6)
    assert str(tmp_path) not in str(held.identity), "the identity depends on where the file lies"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": np.zeros(1)}, "mom2.mom2 and mom2.count"),
        ({"mom2.mom2": np.eye(4), "mom2.count": np.int64(1)}, "128 x 128"),
        ({"mom2.mom2": -np.eye(128), "mom2.count": np.int64(1)}, "not positive definite"),
        ({"mom2.mom2": np.full((128, 128), np.nan), "mom2.count": np.int64(1)}, "finite|definite"),
        ({"mom2.mom2": np.eye(128), "mom2.count": np.int64(0)}, "count|finite|definite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    content: dict[str, Any], message: str, text: Path, tmp_path: Path
) -> None:
    path = tmp_path / "stats.npz"
    np.savez(path, **content)
    with pytest.raises(OptionError, match=message):
        source(text, tmp_path, corpus=f"npz:{path}").ready()


def test_a_file_that_is_no_npz_is_refused(text: Path, tmp_path: Path) -> None:
    path = tmp_path / "stats.npz"
    path.write_bytes(b"no npz")
    with pytest.raises(OptionError, match=r"stats\.npz"):
        source(text, tmp_path, corpus=f"npz:{path}").ready()


@pytest.mark.parametrize(
    "corpus", ["wikipedia", "", "file:absent.txt", "npz:absent.npz", "file:bytes.bin"]
)
def test_a_corpus_that_cannot_be_is_refused(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bytes.bin").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(EditsuiteError, match="mom2_corpus"):
        source(tmp_path, tmp_path, corpus=corpus).ready()


def test_an_empty_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(OptionError, match="no text"):
        source(tmp_path / "text.txt", tmp_path).ready()


def test_an_exported_covariance_is_the_same_when_it_is_read_back(tmp_path: Path) -> None:
    """What one machine computed, another weighs its updates by."""
    corpus = tmp_path / "text.txt"
    lines = [f"Line {i} tells of {i * 37 % 101} boats and {i * 53 % 89} nets." for i in range(60)]
    corpus.write_text("\n".join(lines), encoding="utf-8")
    stack = DecoderStack(tiny_model("llama"))
    made = CovarianceSource(stack, 1, f"file:{corpus}", 2000, tmp_path / "a")
    made.export(tmp_path / "out" / "layer1.npz")
    read = CovarianceSource(stack, 1, f"npz:{tmp_path / 'out' / 'layer1.npz'}", 2000, tmp_path)
    torch.testing.assert_close(read.matrix, made.matrix, rtol=1e-12, atol=0)


def test_several_layers_in_one_pass_are_the_layers_alone(text: Path, tmp_path: Path) -> None:
    alone = [source(text, tmp_path / "alone", layer=layer).matrix for layer in (0, 2, 3)]
    kept = source(text, tmp_path, layer=2).matrix
    have_ready([source(text, tmp_path, layer=layer) for layer in (0, 2, 3)])
    together = [source(text, tmp_path, layer=layer).matrix for layer in (0, 2, 3)]
    assert torch.equal(together[1], kept)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
    assert len(find_sealed(tmp_path / "covariance", "*")) == 3
