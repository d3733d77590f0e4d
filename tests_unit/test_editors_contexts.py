"""Context prefixes are a function of model, seed and number, whatever ran before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from editsuite.cards import tiny_model
from editsuite.editors.contexts import context_prefixes
from editsuite.engine import DecoderStack

pytestmark = pytest.mark.usefixtures("one_thread")

_PROGRAM = """
import json, random, sys
from pathlib import Path
import torch
from editsuite.cards import tiny_model
from editsuite.editors.contexts import context_prefixes
from editsuite.engine import DecoderStack
torch.set_num_threads(1)
torch.manual_seed(4242); random.seed(4242); torch.randn(1000)
stack = DecoderStack(tiny_model("llama", 21))
cache = Path(sys.argv[1])
context_prefixes(stack, n=2, seed=8, cache=cache)
print(json.dumps(context_prefixes(stack, n=7, seed=3, cache=cache)))
"""


@pytest.fixture(scope="module")
def stack() -> DecoderStack:
    return DecoderStack(tiny_model("llama", 21))


def test_another_process_draws_the_same(stack: DecoderStack, tmp_path: Path) -> None:
    ours = context_prefixes(stack, n=7, seed=3, cache=tmp_path / "ours")
    out = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path / "theirs")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert tuple(json.loads(out.stdout)) == ours


def test_fewer_prefixes_are_the_first_of_more(stack: DecoderStack, tmp_path: Path) -> None:
    most = context_prefixes(stack, n=12, seed=0, cache=tmp_path)
    assert len(most) == 12
    for n in (1, 2, 6, 11):
        assert context_prefixes(stack, n=n, seed=0, cache=tmp_path) == most[:n]


def test_the_first_is_empty_and_the_others_end_a_sentence(
    stack: DecoderStack, tmp_path: Path
) -> None:
    first, *others = context_prefixes(stack, n=6, seed=0, cache=tmp_path)
    assert first == ""
    assert all(text.endswith(". ") for text in others)
    assert len(set(others)) == len(others)


def test_seed_and_model_choose_the_prefixes(stack: DecoderStack, tmp_path: Path) -> None:
    ours = context_prefixes(stack, n=4, seed=0, cache=tmp_path)
    assert context_prefixes(stack, n=4, seed=1, cache=tmp_path) != ours
    other = DecoderStack(tiny_model("llama", 22))
    assert context_prefixes(other, n=4, seed=0, cache=tmp_path) != ours


def test_drawing_leaves_the_global_random_state_alone(stack: DecoderStack, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    context_prefixes(stack, n=3, seed=0, cache=tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)


DAMAGE = {
    "empty": b"",
    "cut": None,
    "not UTF-8": b"\xff\xfe\x00",
    "a list": b"[1, 2]",
    "a number": b"7",
    "no prefixes": b"{}",
    "null prefixes": b'{"prefixes": null, "digest": ""}',
}


@pytest.mark.parametrize("kind", sorted(DAMAGE))
def test_a_damaged_file_is_named_and_drawn_anew(
    kind: str, stack: DecoderStack, tmp_path: Path
) -> None:
    ours = context_prefixes(stack, n=4, seed=0, cache=tmp_path)
    (path,) = (tmp_path / "contexts").glob("*.json")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if DAMAGE[kind] is None else DAMAGE[kind] or b"")
    with pytest.warns(UserWarning, match=path.name):
        assert context_prefixes(stack, n=4, seed=0, cache=tmp_path) == ours
    assert path.read_bytes() == whole


def test_a_changed_letter_is_found(stack: DecoderStack, tmp_path: Path) -> None:
    ours = context_prefixes(stack, n=4, seed=0, cache=tmp_path)
    (path,) = (tmp_path / "contexts").glob("*.json")
    held = json.loads(path.read_text(encoding="utf-8"))
    held["prefixes"][2] = "x" + held["prefixes"][2]
    path.write_text(json.dumps(held), encoding="utf-8")
    with pytest.warns(UserWarning, match=path.name):
        assert context_prefixes(stack, n=4, seed=0, cache=tmp_path) == ours


def test_a_file_of_another_seed_is_not_taken(stack: DecoderStack, tmp_path: Path) -> None:
    ours = context_prefixes(stack, n=4, seed=0, cache=tmp_path / "a")
    context_prefixes(stack, n=4, seed=1, cache=tmp_path / "b")
    (path,) = (tmp_path / "a" / "contexts").glob("*.json")
    (foreign,) = (tmp_path / "b" / "contexts").glob("*.json")
    path.write_bytes(foreign.read_bytes())
    with pytest.warns(UserWarning, match="foreign"):
        assert context_prefixes(stack, n=4, seed=0, cache=tmp_path / "a") == ours


def test_a_kept_file_is_read_and_not_drawn(
    stack: DecoderStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = context_prefixes(stack, n=4, seed=0, cache=tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr("editsuite.editors.contexts.generate", refuse)
    assert context_prefixes(stack, n=4, seed=0, cache=tmp_path) == ours
