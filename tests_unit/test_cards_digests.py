"""Digests tell models apart, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from editsuite.cards import digests, load_model, resolve_card
from editsuite.cards.cache import write_text_atomically
from editsuite.cards.digests import combine, file_sha256, folder_digest, state_digest
from editsuite.cards.tiny import tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny = tiny_model("llama", seed=1)
    place = tmp_path / "model"
    tiny.model.save_pretrained(place)
    tiny.tokenizer.save_pretrained(place)
    return place


def test_a_copy_elsewhere_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "under another name"
    shutil.copytree(folder, copy)
    (copy / "README.md").write_text("not part of the model", encoding="utf-8")
    assert folder_digest(copy) == folder_digest(folder)


def test_the_dtype_it_is_loaded_in_does_not_matter(folder: Path, tmp_path: Path) -> None:
    card = resolve_card(str(folder))
    wide = load_model(card, device="cpu", dtype="float32", cache=tmp_path / "cache")
    narrow = load_model(card, device="cpu", dtype="bfloat16", cache=tmp_path / "cache")
    assert narrow.dtype is torch.bfloat16
    assert next(narrow.model.parameters()).dtype is torch.bfloat16
    assert wide.digest == narrow.digest == folder_digest(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_settings_count_but_not_who_wrote_them(folder: Path, name: str) -> None:
    before = folder_digest(folder)
    path = folder / name
    settings = json.loads(path.read_text(encoding="utf-8"))
    volatile = {"transformers_version": "0.0", "_name_or_path": "x", "dtype": "bfloat16"}
    path.write_text(json.dumps(settings | volatile, indent=7), encoding="utf-8")
    assert folder_digest(folder) == before
    path.write_text(json.dumps(settings | {"rms_norm_eps": 0.5}), encoding="utf-8")
    assert folder_digest(folder) != before


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_every_byte_of_weights_and_tokenizer_counts(folder: Path, name: str) -> None:
    before = folder_digest(folder)
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert folder_digest(folder) != before


def test_a_remembered_hash_is_used_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = tmp_path / "weights", tmp_path / "cache"
    path.write_bytes(b"first")
    assert file_sha256(path, cache) == hashlib.sha256(b"first").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(digests, "_hash_bytes", lambda _path: pytest.fail("read again"))
        assert file_sha256(path, cache) == hashlib.sha256(b"first").hexdigest()
    path.write_bytes(b"other")
    os.utime(path, ns=(7, 7))
    assert file_sha256(path, cache) == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sha256": 3}'])
def test_a_damaged_note_is_never_trusted(tmp_path: Path, content: str) -> None:
    path, cache = tmp_path / "weights", tmp_path / "cache"
    path.write_bytes(b"first")
    expected = file_sha256(path, cache)
    (note,) = (cache / "digests").iterdir()
    note.write_text(content, encoding="utf-8")
    assert file_sha256(path, cache) == expected
    assert json.loads(note.read_text(encoding="utf-8"))["sha256"] == expected


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"first")
    (tmp_path / "cache").write_text("a file, not a folder", encoding="utf-8")
    assert file_sha256(path, tmp_path / "cache") == hashlib.sha256(b"first").hexdigest()


@given(parts=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5))
def test_the_order_of_parts_does_not_matter(parts: dict[str, str]) -> None:
    assert combine(parts) == combine(dict(reversed(parts.items())))
    assert combine(parts) != combine({**parts, "one more part": ""})


def test_the_state_digest_sees_name_shape_dtype_and_value() -> None:
    base = torch.arange(6, dtype=torch.float32)
    digest = state_digest([("w", base), ("b", base)])
    assert state_digest([("b", base), ("w", base)]) == digest
    minus_zero = base.clone()
    minus_zero[0] = -0.0
    others = [
        [("v", base), ("b", base)],
        [("w", base.reshape(2, 3)), ("b", base)],
        [("w", base.to(torch.bfloat16)), ("b", base)],
        [("w", base + 1), ("b", base)],
        [("w", minus_zero), ("b", base)],
    ]
    assert len({digest, *(state_digest(other) for other in others)}) == 1 + len(others)
    assert state_digest([("w", base), ("b", base)], extra="x") != digest


def test_an_atomic_write_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "note.json"
    write_text_atomically(path, "one")
    write_text_atomically(path, "two")
    assert path.read_text(encoding="utf-8") == "two"
    assert list(path.parent.iterdir()) == [path]
