"""Sealed files: every byte is covered by the name; and files that are whole or not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.errors import ChainError
from editsuite.files import sha256_of, write_atomically, write_text_atomically
from editsuite.sealed import find_sealed, seal, unseal

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64)


@settings(max_examples=30, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=3),
    dtype=st.sampled_from(DTYPES),
    metadata=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        max_size=3,
    ),
)
def test_what_was_sealed_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    shapes: list[list[int]],
    dtype: torch.dtype,
    metadata: dict[str, str],
) -> None:
    folder = tmp_path_factory.mktemp("sealed")
    tensors = {f"t{i}": torch.full(shape, i + 1.0).to(dtype) for i, shape in enumerate(shapes)}
    path = seal(folder, "stem", tensors, metadata)
    assert find_sealed(folder, "stem") == [path]
    held = unseal(path)
    assert dict(held.metadata) == metadata
    assert set(held.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert held.tensors[name].dtype == dtype
        assert torch.equal(held.tensors[name], tensor)


def test_the_name_carries_the_digest_of_the_bytes(tmp_path: Path) -> None:
    path = seal(tmp_path, "s", {"a": torch.ones(3)}, {"x": "1"})
    assert path.name == f"s-{sha256_of(path)[:32]}.safetensors"
    for tensors, metadata in (
        ({"a": torch.ones(3)}, {"x": "2"}),
        ({"a": torch.zeros(3)}, {"x": "1"}),
    ):
        assert seal(tmp_path, "s", tensors, metadata) != path


def test_a_transposed_view_is_kept_as_it_reads(tmp_path: Path) -> None:
    view = torch.arange(6.0).reshape(2, 3).T
    assert torch.equal(unseal(seal(tmp_path, "s", {"v": view}, {})).tensors["v"], view)


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    path = seal(tmp_path, "s", {"a": torch.arange(4.0)}, {"plan": "p"})
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x20
        path.write_bytes(damaged)
        with pytest.raises(ChainError, match=path.name):
            unseal(path)


def test_a_cut_or_absent_file_is_a_chain_error(tmp_path: Path) -> None:
    path = seal(tmp_path, "s", {"a": torch.arange(4.0)}, {})
    content = path.read_bytes()
    for length in (0, 4, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ChainError, match="damaged"):
            unseal(path)
    path.unlink()
    with pytest.raises(ChainError, match="cannot be read"):
        unseal(path)


def test_stems_are_told_apart(tmp_path: Path) -> None:
    one = seal(tmp_path, "000001", {"a": torch.ones(1)}, {})
    seal(tmp_path, "0000011", {"a": torch.ones(1)}, {})
    (tmp_path / f".{one.name}.x.part").write_bytes(b"")
    (tmp_path / "000001-short.safetensors").write_bytes(b"")
    assert find_sealed(tmp_path, "000001") == [one]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deep" / "file"
    write_text_atomically(path, "old ä")
    assert path.read_bytes() == "old ä".encode()

    def refuse(*_: object) -> None:
        raise OSError("full")

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"editsuite.files.os.{call}", refuse)
            with pytest.raises(OSError, match="full"):
                write_atomically(path, b"new")
        assert [p.name for p in path.parent.iterdir()] == ["file"]
        assert path.read_bytes() == "old ä".encode()


@settings(max_examples=10, deadline=None)
@given(content=st.binary(max_size=100), times=st.integers(0, 40_000))
def test_a_files_digest_is_that_of_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, times: int
) -> None:
    path = tmp_path_factory.mktemp("sum") / "file"
    path.write_bytes(content * times)
    assert sha256_of(path) == hashlib.sha256(content * times).hexdigest()
