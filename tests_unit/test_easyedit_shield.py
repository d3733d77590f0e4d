"""Nothing that EasyEdit's code does reaches the process, the model or the next edit."""

from __future__ import annotations

import logging
import os
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from chains_ import bits
from easyedit_ import make_tree

from editsuite.cards import LoadedModel, tiny_model
from editsuite.editors import LowRank, method
from editsuite.editors.easyedit.bound import BoundEasyEdit
from editsuite.engine import DecoderStack
from editsuite.errors import EditError
from editsuite.facts import EditRequest

pytestmark = pytest.mark.usefixtures("one_thread")

FACT = EditRequest("What language is spoken by Orla Brightwater?", "Orla Brightwater", "Welsh")
LAYER = 1


def bind(
    folder: Path, body: str, monkeypatch: pytest.MonkeyPatch, loaded: LoadedModel | None = None
) -> BoundEasyEdit:
    """A bound edit of a tree with this body."""
    monkeypatch.setenv("EASYEDIT_HOME", str(make_tree(folder / "tree", body)))
    bound = method("easyedit-rome").bind(
        DecoderStack(loaded or tiny_model("llama", 7)),
        layers=(LAYER,),
        seed=3,
        hyperparameters={"n_contexts": 1, "mom2_adjustment": False},
        cache=folder,
    )
    assert isinstance(bound, BoundEasyEdit)
    return bound


def test_a_change_is_carried_and_the_model_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tiny_model("llama", 7)
    bound, before = bind(tmp_path, "pass", monkeypatch, loaded), bits(loaded)
    (change,) = bound.edit([FACT]).factors.values()
    assert isinstance(change, LowRank)
    assert change.output.shape == (32, 1)
    assert change.input.shape == (128, 1)
    assert bits(loaded) == before


def test_random_states_are_the_plans_within_and_the_callers_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    with open(os.environ["SAW"], "a") as file:
        file.write(f"{random.random()} {np.random.rand()} {torch.rand(1).item()}\\n")
    """
    monkeypatch.setenv("SAW", str(tmp_path / "saw"))
    bound = bind(tmp_path, body, monkeypatch)
    draws = []
    for _ in range(2):
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        bound.edit([FACT])
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    assert draws == [(random.random(), np.random.rand(), torch.rand(1).item())] * 2
    first, second = (tmp_path / "saw").read_text().splitlines()
    assert first == second
    random.seed(3)
    assert first.startswith(str(random.random()))


def test_environment_folder_and_screen_are_untouched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = """
    os.environ["CUDA_LAUNCH_BLOCKING"] = "1"
    os.environ["KEPT"] = "changed"
    del os.environ["DELETED"]
    open("null_space_project.pt", "w").close()
    os.chdir("/")
    print("loud")
    print("louder", file=sys.stderr)
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger().setLevel(5)
    logging.warning("loudest")
    import warnings
    warnings.warn("and this")
    """
    for name in ("KEPT", "DELETED"):
        monkeypatch.setenv(name, "as it was")
    monkeypatch.delenv("CUDA_LAUNCH_BLOCKING", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    bound = bind(tmp_path, body, monkeypatch)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        update = bound.edit([FACT])
    assert os.environ["KEPT"] == os.environ["DELETED"] == "as it was"
    assert "CUDA_LAUNCH_BLOCKING" not in os.environ
    assert Path.cwd() == work
    assert list(work.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert (root.handlers, root.level) == (handlers, level)
    assert update.record["printed_lines"] == 2


def test_globals_of_one_edit_do_not_reach_the_next_nor_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    global CONTEXT_TEMPLATES_CACHE
    CALLS.append(1)
    assert len(CALLS) == 1, "a second edit met the first one's globals"
    assert CONTEXT_TEMPLATES_CACHE == ["{}"], CONTEXT_TEMPLATES_CACHE
    CONTEXT_TEMPLATES_CACHE = ["spoilt {}"]
    """
    bound = bind(tmp_path, body, monkeypatch)
    other = bind(tmp_path, body, monkeypatch, tiny_model("llama", 8))
    for one in (bound, other, bound):
        one.edit([FACT])
    assert not [name for name in sys.modules if name.startswith("easyeditor")]


def test_somebody_elses_easyeditor_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = object()
    monkeypatch.setitem(sys.modules, "easyeditor", mine)
    finders = list(sys.meta_path)
    bind(tmp_path, "pass", monkeypatch).edit([FACT])
    assert sys.modules["easyeditor"] is mine
    assert sys.meta_path == finders


def test_the_model_goes_by_its_architecture_and_every_flag_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    assert model.name_or_path == model.config._name_or_path == hparams.model_name == "llama"
    assert tok.padding_side == "right"
    assert hparams.device == weight.device
    assert torch.is_grad_enabled()
    tok.padding_side, tok.pad_token = "left", "x"
    model.config._name_or_path = "other"
    model.train()
    for parameter in model.parameters():
        parameter.requires_grad = True
    model(input_ids=torch.tensor([[1, 2]])).logits.sum().backward()
    """
    loaded = tiny_model("llama", 7)
    loaded.model.config._name_or_path = "/some/folder/gpt-j"
    loaded.tokenizer.padding_side = "left"
    pad = loaded.tokenizer.pad_token
    kinds = [type(module) for module in loaded.model.modules()]
    with torch.no_grad():
        bind(tmp_path, body, monkeypatch, loaded).edit([FACT])
        assert not torch.is_grad_enabled()
    assert loaded.model.config._name_or_path == "/some/folder/gpt-j"
    assert (loaded.tokenizer.padding_side, loaded.tokenizer.pad_token) == ("left", pad)
    assert not any(module.training for module in loaded.model.modules())
    assert not any(p.requires_grad or p.grad is not None for p in loaded.model.parameters())
    assert [type(module) for module in loaded.model.modules()] == kinds


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gptj", "gpt_neox"])
def test_hooks_on_a_layer_see_a_tuple_and_the_model_says_what_it_did(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    seen = []
    layers = [m for n, m in model.named_modules() if n.endswith(f".{hparams.layers[0]}")]
    handle = layers[0].register_forward_hook(lambda m, i, out: seen.append(out))
    after = model(input_ids=torch.tensor([[1, 2, 3]])).logits
    handle.remove()
    assert isinstance(seen[0], tuple) and seen[0][0].shape[:2] == (1, 3)
    assert torch.equal(after, torch.load(os.environ["LOGITS"]))
    return {name: torch.zeros_like(weight)}
    """
    loaded = tiny_model(architecture, 7)
    with torch.no_grad():
        before = loaded.model(input_ids=torch.tensor([[1, 2, 3]])).logits
    torch.save(before, tmp_path / "logits")
    monkeypatch.setenv("LOGITS", str(tmp_path / "logits"))
    bind(tmp_path, body, monkeypatch, loaded).edit([FACT])


def test_weights_come_back_after_an_error_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
    with torch.no_grad():
        weight.add_(1.0)
    print("half-way")
    raise RuntimeError("out of luck")
    """
    loaded = tiny_model("llama", 7)
    bound, before, here = bind(tmp_path, body, monkeypatch, loaded), bits(loaded), Path.cwd()
    with pytest.raises(EditError, match=r"rome \(tree\) failed on .*out of luck.*'half-way'"):
        bound.edit([FACT])
    assert bits(loaded) == before
    assert Path.cwd() == here


@pytest.mark.parametrize("write", ["other[0] += 1.0", "other.data[0] += 1.0"])
def test_a_weight_that_was_not_declared_is_refused_by_name(
    write: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"""
    with torch.no_grad():
        other = model.model.norm.weight
        {write}
    """
    loaded = tiny_model("llama", 7)
    bound = bind(tmp_path, body, monkeypatch, loaded)
    with pytest.raises(EditError, match=r"changed model\.norm\.weight, which .* not declared"):
        bound.edit([FACT])
    assert torch.isnan(loaded.model.get_parameter("model.norm.weight")).all()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("return {name: (torch.ones(3), torch.ones(4))}", r"shape \(3,\), \(4,\).*fits no weight"),
        ("return {name: torch.full_like(weight, float('nan'))}", "not finite"),
        ("return {'model.norm.weight': torch.ones(32)}", r"wants to change model\.norm\.weight"),
    ],
)
def test_a_change_that_cannot_be_carried_is_refused(
    answer: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EditError, match=words):
        bind(tmp_path, answer, monkeypatch).edit([FACT])
