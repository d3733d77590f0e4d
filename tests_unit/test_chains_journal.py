"""The journal: cut, damaged or mixed up, it says what is wrong and ends in the same state."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from chains_ import FakeEditor, bits, chain_of, facts, model, plan_of
from hypothesis import given, settings
from hypothesis import strategies as st

from editsuite.chains import Chain, JournalWarning
from editsuite.editors import method
from editsuite.engine import DecoderStack
from editsuite.errors import ChainError, EditError
from editsuite.facts import EditRequest

pytestmark = pytest.mark.usefixtures("one_thread")

EDITS = 5


class Kept:
    """A whole journal of fake edits, copied for every test, and what it must come to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.editor = FakeEditor(model(), log=root / "log")
        chain = chain_of(self.editor, root / "whole")
        chain.ensure(EDITS)
        self.final = chain.digest(EDITS)
        chain.go(0)

    def copy(self) -> Chain:
        """A chain on a fresh copy of the journal and the unedited model."""
        shutil.rmtree(self.root / "copy", ignore_errors=True)
        shutil.copytree(self.root / "whole", self.root / "copy")
        self.root.joinpath("log").write_text("", encoding="utf-8")
        return self.again()

    def again(self) -> Chain:
        return chain_of(self.editor, self.root / "copy")

    def edited(self) -> list[str]:
        return self.root.joinpath("log").read_text(encoding="utf-8").split()

    def mend(self, chain: Chain) -> list[str]:
        """Ensure the chain; the warnings' texts. The end is checked, in a second chain too."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            chain.ensure(EDITS)
        assert chain.digest(EDITS) == self.final
        chain.go(EDITS)
        assert chain.state.digest() == self.final
        chain.go(0)
        assert self.again().sound() == EDITS
        for index in range(1, EDITS + 1):
            assert len(chain.journal.paths(index)) == 1
        return [str(w.message) for w in caught if issubclass(w.category, JournalWarning)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("journal"))


def test_a_whole_journal_is_not_edited_again(kept: Kept) -> None:
    chain = kept.copy()
    assert kept.mend(chain) == []
    assert kept.edited() == []


@pytest.mark.parametrize("cut", range(EDITS + 1))
def test_a_chain_cut_anywhere_ends_in_the_same_state(kept: Kept, cut: int) -> None:
    chain = kept.copy()
    for index in range(cut + 1, EDITS + 1):
        chain.journal.remove(index)
    assert kept.mend(chain) == []
    assert kept.edited() == [fact.id for fact in facts(EDITS)[cut:]]


@settings(max_examples=60, deadline=None)
@given(index=st.integers(1, EDITS), share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_found_and_mended(
    kept: Kept, index: int, share: float, bit: int
) -> None:
    chain = kept.copy()
    (path,) = chain.journal.paths(index)
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    path.write_bytes(content)
    (message,) = kept.mend(chain)
    assert path.name in message
    assert "damaged" in message
    assert kept.edited() == [facts(EDITS)[index - 1].id]


@settings(max_examples=20, deadline=None)
@given(index=st.integers(1, EDITS), share=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_found_and_mended(kept: Kept, index: int, share: float) -> None:
    chain = kept.copy()
    (path,) = chain.journal.paths(index)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    (message,) = kept.mend(chain)
    assert path.name in message


@pytest.mark.parametrize("index", [1, 3, EDITS])
def test_a_file_of_another_plan_is_found_and_mended(kept: Kept, index: int) -> None:
    plan = replace(plan_of(kept.editor), seed=99)
    other = chain_of(kept.editor, kept.root / "other", plan)
    other.ensure(index)
    (foreign,) = other.journal.paths(index)
    other.go(0)
    chain = kept.copy()
    (path,) = chain.journal.paths(index)
    path.unlink()
    shutil.copy(foreign, path.parent / foreign.name)
    (message,) = kept.mend(chain)
    assert foreign.name in message
    assert "foreign" in message
    assert plan.digest[:12] in message


@pytest.mark.parametrize("what", ["stems", "contents"])
def test_swapped_files_are_found_and_mended(kept: Kept, what: str) -> None:
    chain = kept.copy()
    (first,), (second,) = chain.journal.paths(2), chain.journal.paths(4)
    if what == "stems":
        first.rename(first.with_name(second.name[:6] + first.name[6:]))
        second.rename(second.with_name(first.name[:6] + second.name[6:]))
    else:
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    messages = kept.mend(chain)
    assert len(messages) == 2
    assert kept.edited() == ["s1", "s3"]


@pytest.mark.parametrize("index", [1, 3])
def test_a_missing_file_in_the_middle_is_named_and_mended(kept: Kept, index: int) -> None:
    chain = kept.copy()
    (path,) = chain.journal.paths(index)
    path.unlink()
    (message,) = kept.mend(chain)
    assert f"lacks edit {index}" in message
    assert kept.edited() == [facts(EDITS)[index - 1].id]


def test_edits_that_do_not_follow_are_made_anew(kept: Kept) -> None:
    """A sound file, of this plan and place, that was computed on another state."""
    crooked = FakeEditor(model())
    crooked.loaded.down_proj_weight(1).data[0, 0] += 1  # says it is the model, and is not
    other = chain_of(crooked, kept.root / "crooked", plan_of(kept.editor))
    other.ensure(2)
    chain = kept.copy()
    for path in chain.journal.paths(2):
        path.unlink()
    (stray,) = other.journal.paths(2)
    shutil.copy(stray, chain.journal.folder / stray.name)
    (message,) = kept.mend(chain)
    assert stray.name in message
    assert "does not follow" in message


def test_what_a_killed_writer_left_behind_is_ignored(kept: Kept) -> None:
    chain = kept.copy()
    (path,) = chain.journal.paths(EDITS)
    content = path.read_bytes()
    path.unlink()
    path.with_name(f".{path.name}.abc.part").write_bytes(content[:100])
    assert kept.mend(chain) == []


def test_records_and_factors_come_back_as_they_were(kept: Kept) -> None:
    chain = kept.copy()
    for index in range(1, EDITS + 1):
        chain.go(index - 1)
        update = kept.editor.edit(chain.plan.batch(index))
        entry = chain.entry(index)
        assert entry.index == index
        assert dict(entry.record) == dict(update.record)
        for name, factors in update.factors.items():
            assert entry.update.factors[name].output.equal(factors.output)
            assert entry.update.factors[name].input.equal(factors.input)
    chain.go(0)


def test_a_longer_chain_goes_on_from_a_shorter(kept: Kept) -> None:
    chain = kept.copy()
    chain.ensure(EDITS + 2)
    assert kept.edited() == [fact.id for fact in facts(EDITS + 2)[EDITS:]]
    chain.ensure(1)
    assert chain.digest(EDITS) == kept.final
    chain.go(0)


def test_one_more_edit_at_a_time(kept: Kept) -> None:
    chain = kept.copy()
    for index in range(2, EDITS + 1):
        chain.journal.remove(index)
    while chain.sound() < EDITS:
        assert chain.try_one()
    assert chain.digest(EDITS) == kept.final
    chain.go(0)


# --- editors that fail -------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [EditError, RuntimeError, KeyboardInterrupt])
def test_an_editor_that_raises_leaves_journal_and_model_whole(
    failure: type[BaseException], tmp_path: Path
) -> None:
    loaded = model()
    original = bits(loaded)

    def fail_once(requests: Sequence[EditRequest]) -> None:
        if any(request.id == "s3" for request in requests) and not (tmp_path / "failed").exists():
            (tmp_path / "failed").touch()
            raise failure("no")

    broken = FakeEditor(loaded, before=fail_once)
    chain = chain_of(broken, tmp_path)
    with pytest.raises(failure):
        chain.ensure(6)
    assert chain.sound() == 3
    chain.go(0)
    assert bits(loaded) == original
    chain.ensure(6)  # the lock was given back, and the chain goes on
    whole = chain_of(FakeEditor(model()), tmp_path / "whole")
    whole.ensure(6)
    assert chain.digest(6) == whole.digest(6)


def test_a_disk_that_is_full_leaves_journal_and_model_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = FakeEditor(model())
    original = bits(editor.loaded)
    chain = chain_of(editor, tmp_path)
    chain.ensure(2)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("editsuite.files.os.fsync", refuse)
        with pytest.raises(OSError, match="No space"):
            chain.ensure(4)
    assert chain.sound() == 2
    chain.go(0)
    assert bits(editor.loaded) == original
    assert not list(chain.journal.folder.glob(".*.part"))
    chain.ensure(4)
    whole = chain_of(FakeEditor(model()), tmp_path / "whole")
    whole.ensure(4)
    assert chain.digest(4) == whole.digest(4)


def test_the_model_is_prepared_once_unedited_and_only_when_needed(tmp_path: Path) -> None:
    loaded = model()
    original, seen = bits(loaded), []

    def watch(requests: Sequence[EditRequest]) -> None:
        if not requests:
            seen.append(bits(loaded))

    chain = chain_of(FakeEditor(loaded, before=watch), tmp_path)
    chain.ensure(2)
    chain.ensure(4)
    chain.ensure(4)
    assert seen == [original]


# --- the real method ---------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("cut", [1, 3])
def test_a_rome_chain_cut_and_resumed_by_a_fresh_model_ends_in_the_same_bits(
    architecture: str, cut: int, tmp_path: Path
) -> None:
    def rome(cache: Path) -> Chain:
        loaded = model(architecture)
        stack = DecoderStack(loaded)
        given = {"v_num_grad_steps": 4, "n_contexts": 2}
        bound = method("rome_noc").bind(
            stack, layers=(1,), seed=0, hyperparameters=given, cache=tmp_path / "statistics"
        )
        plan = replace(plan_of(FakeEditor(loaded)), editor="rome_noc", inputs=bound.inputs)
        return Chain(stack, plan, bound, cache)

    whole = rome(tmp_path / "whole")
    whole.ensure(4)
    first = rome(tmp_path / "cut")
    first.ensure(cut)
    second = rome(tmp_path / "cut")
    assert second.sound() == cut
    second.ensure(4)
    assert [second.digest(i) for i in range(5)] == [whole.digest(i) for i in range(5)]


def test_a_chain_without_enough_facts_says_so(tmp_path: Path) -> None:
    chain = chain_of(FakeEditor(model()), tmp_path)
    with pytest.raises(ChainError, match="12"):
        chain.ensure(13)
