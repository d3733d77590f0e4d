"""The bridge to the release from the registry: found, loaded, told the truth, and equal to ours."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from chains_ import bits
from easyedit_ import make_tree, need_easyeditor
from torch import Tensor

from editsuite.cards import LoadedModel, tiny_model
from editsuite.chains import Editing, ModelState, open_chain
from editsuite.editors import Dense, LowRank, Update, method
from editsuite.editors.easyedit.loading import Modules
from editsuite.editors.easyedit.memory import Memory
from editsuite.editors.easyedit.recipes import RECIPES, REFUSED, check_recipe, recipe_of
from editsuite.editors.easyedit.settings import module_paths
from editsuite.editors.easyedit.tree import find_tree
from editsuite.engine import DecoderStack
from editsuite.errors import EditError, OptionError
from editsuite.facts import EditRequest

pytestmark = pytest.mark.usefixtures("one_thread")

FACTS = (
    EditRequest("What language is spoken by Orla Brightwater?", "Orla Brightwater", "Welsh"),
    EditRequest("The port of Zoë is in", "Zoë", "far away"),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("easyedit")
    text = "\n".join(f"The river {i} of {i * 7} runs from Ash to Oak, {i} mi." for i in range(90))
    (folder / "text.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> None:
    """The release from the registry, whatever checkout the user has."""
    need_easyeditor()
    monkeypatch.delenv("EASYEDIT_HOME", raising=False)


def hyperparameters(name: str, cache: Path) -> dict[str, object]:
    if name == "easyedit-ft_l":
        return {"num_steps": 3}
    text = f"file:{cache / 'text.txt'}"
    return {"v_num_grad_steps": 5, "n_contexts": 3, "mom2_corpus": text, "mom2_n_tokens": 3000}


def edit(loaded: LoadedModel, name: str, cache: Path, facts: tuple[EditRequest, ...]) -> Update:
    chosen = method(name)
    layers = (1, 2) if chosen.spans else (1,)
    bound = chosen.bind(
        DecoderStack(loaded),
        layers=layers,
        seed=0,
        hyperparameters=hyperparameters(name, cache),
        cache=cache,
    )
    bound.prepare()
    return bound.edit(facts)


def change(update: Update) -> dict[str, Tensor]:
    return {
        name: c.delta.double() if isinstance(c, Dense) else c.output.double() @ c.input.double().T
        for name, c in update.factors.items()
    }


# --- the same edit -----------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen2"])
def test_a_bridged_rome_edit_is_ours(architecture: str, cache: Path, release: None) -> None:
    loaded = tiny_model(architecture, 7)
    ours, theirs = (edit(loaded, n, cache, FACTS[:1]) for n in ("rome", "easyedit-rome"))
    (a,), (b,) = change(ours).values(), change(theirs).values()
    assert float((a - b).norm() / a.norm()) < 1e-4
    assert isinstance(next(iter(theirs.factors.values())), LowRank)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_bridged_ft_l_edit_is_ours(architecture: str, cache: Path, release: None) -> None:
    """One step, after which every entry has moved by the rate in its gradient's direction."""
    loaded = tiny_model(architecture, 7)
    given = {"num_steps": 1, "lr": 1e-3, "norm_constraint": 1e-2}
    stack = DecoderStack(loaded)
    ours = method("ft_l").bind(
        stack,
        layers=(1,),
        seed=0,
        hyperparameters={**given, "objective": "prompt_last"},
        cache=cache,
    )
    theirs = method("easyedit-ft_l").bind(
        stack, layers=(1,), seed=0, hyperparameters=given, cache=cache
    )
    (a,), (b,) = (change(bound.edit(FACTS[:1])).values() for bound in (ours, theirs))
    assert float((a - b).norm() / a.norm()) < 2e-3
    assert float(b.abs().max()) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("name", ["easyedit-rome", "easyedit-memit", "easyedit-ft_l"])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_the_update_is_what_the_method_leaves_in_a_model(
    name: str, architecture: str, cache: Path, release: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against EasyEdit's own ``apply_..._to_model`` on a copy."""
    loaded, left = tiny_model(architecture, 7), {}
    recipe = RECIPES[name.removeprefix("easyedit-")]
    module = Modules.module

    def spying(self: Modules, wanted: str) -> Any:
        main = module(self, wanted)
        execute = getattr(main, recipe.execute)

        def noted(model: Any, tokenizer: Any, requests: Any, settings: Any) -> Any:
            twin = copy.deepcopy(model)
            listed = requests if isinstance(requests, list) else [requests]
            apply = getattr(main, recipe.execute.replace("execute", "apply") + "_to_model")
            state = torch.random.get_rng_state()
            setattr(main, recipe.execute, execute)
            apply(twin, tokenizer, listed, settings)
            torch.random.set_rng_state(state)
            left.update({n: p.detach().clone() for n, p in twin.named_parameters()})
            return execute(model, tokenizer, requests, settings)

        setattr(main, recipe.execute, noted)
        return main

    monkeypatch.setattr(Modules, "module", spying)
    facts = FACTS if recipe.batches else FACTS[:1]
    before = bits(loaded)
    update = edit(loaded, name, cache, facts)
    assert bits(loaded) == before
    names = set(update.factors)
    assert names == {loaded.down_proj_name(i) for i in ((1, 2) if recipe.spans else (1,))}
    state = ModelState(loaded, tuple(names))
    state.apply(update)
    for held, weight in loaded.model.named_parameters():
        if held in left:
            torch.testing.assert_close(weight, left[held], rtol=1e-5, atol=1e-5)
    assert any(bool((c != 0).any()) for c in change(update).values())


# --- told the truth ----------------------------------------------------------------------------


def test_a_plan_names_the_code_and_no_native_chain_is_mixed_in(
    cache: Path, tmp_path: Path, release: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = DecoderStack(tiny_model("llama", 7))

    def chain(name: str) -> Any:
        given = hyperparameters(name, cache)
        return open_chain(stack, Editing(method(name), (1,), FACTS, "f", 0, None, given), tmp_path)

    bridged, native = chain("easyedit-rome"), chain("rome")
    assert bridged.plan.editor == "easyedit-rome"
    held = bridged.plan.inputs["easyedit"]
    assert held["version"] == "0.0.1.dev0"
    assert len(held["code"]) == 64
    assert bridged.plan.digest != native.plan.digest
    bridged.ensure(1)
    bridged.go(1)
    assert bridged.entry(1).record["printed_lines"] > 0
    bridged.go(0)
    assert chain("easyedit-rome").sound() == 1  # the same plan again, from the journal
    assert bridged.plan.inputs["prefixes"] == native.plan.inputs["prefixes"]
    assert bridged.plan.inputs["covariance"] == {"1": native.plan.inputs["covariance"]}


def test_changed_code_is_another_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for i, body in enumerate(("pass", "pass  # edited")):
        monkeypatch.setenv("EASYEDIT_HOME", str(make_tree(tmp_path / str(i), body)))
        stack = DecoderStack(tiny_model("llama", 7))
        given = {"n_contexts": 1, "mom2_adjustment": False}
        bound = method("easyedit-rome").bind(
            stack, layers=(1,), seed=0, hyperparameters=given, cache=tmp_path
        )
        found.append(bound.inputs)
    assert found[0] != found[1]
    assert str(tmp_path) not in str(found)


def test_a_subject_that_comes_twice_is_replaced_once(cache: Path, release: None) -> None:
    fact = EditRequest("Orla and again Orla speaks the language", "Orla", "Welsh")
    loaded = tiny_model("llama", 7)
    ours, theirs = (edit(loaded, n, cache, (fact,)) for n in ("rome", "easyedit-rome"))
    (a,), (b,) = change(ours).values(), change(theirs).values()
    assert float((a - b).norm() / a.norm()) < 1e-4


def test_what_easyedit_cannot_be_told_is_refused(cache: Path, release: None) -> None:
    loaded = tiny_model("llama", 7)
    with pytest.raises(EditError, match=r"fact odd: .*a brace.*reword"):
        edit(loaded, "easyedit-rome", cache, (EditRequest("A {} of Orla", "Orla", "b", id="odd"),))
    with pytest.raises(EditError, match="rome edits one fact at a time, 2 were given"):
        edit(loaded, "easyedit-rome", cache, FACTS)
    with pytest.raises(OptionError, match=r"has no hyperparameter v_speed; it knows .*v_lr"):
        method("easyedit-rome").bind(
            DecoderStack(loaded),
            layers=(1,),
            seed=0,
            hyperparameters={"v_speed": 1},
            cache=cache,
        )
    with pytest.raises(OptionError, match="edits one layer, 2 were given"):
        method("easyedit-rome").bind(
            DecoderStack(loaded), layers=(1, 2), seed=0, hyperparameters={}, cache=cache
        )


def test_a_tied_head_goes_by_the_name_of_its_parameter() -> None:
    """EasyEdit looks the head up among the parameters, where a tied one has no name."""
    assert module_paths(tiny_model("llama"))["lm_head_module"] == "lm_head"
    assert module_paths(tiny_model("gpt2"))["lm_head_module"] == "transformer.wte"


def test_a_tree_that_cannot_be_loaded_says_what_it_lacks(tmp_path: Path) -> None:
    folder = make_tree(tmp_path)
    for line, words in (
        ("import no_such_package", "needs no_such_package: install it"),
        ("raise ValueError('old')", r"cannot be loaded \(ValueError: old\)"),
    ):
        (folder / "easyeditor/util/nethook.py").write_text(line, encoding="utf-8")
        with pytest.raises(EditError, match=words):
            Modules(folder / "easyeditor").module("models.rome.rome_main")


def test_alphaedits_sum_belongs_to_the_weights_it_led_to() -> None:
    class Main:
        P = torch.eye(2)[None]
        cache_c = torch.full((1, 2, 2), 5.0)

    start = {"w": torch.zeros(3, 2)}
    update = Update({"w": Dense(torch.ones(3, 2))}, {})
    memory = Memory(start)
    assert memory.at(start) is None
    memory.keep(Main, start, update, transposed=False)
    held = memory.at({"w": torch.ones(3, 2)})
    assert held is not None
    assert torch.equal(held, Main.cache_c)
    assert memory.at(start) is None
    with pytest.raises(EditError, match="gone with the process that made them"):
        Memory(start).at({"w": torch.ones(3, 2)})


# --- found -------------------------------------------------------------------------------------


def test_a_checkout_is_found_with_its_commit(tmp_path: Path) -> None:
    folder = make_tree(tmp_path)
    for home in (folder, folder / "easyeditor"):
        tree = find_tree({"EASYEDIT_HOME": str(home)})
        assert (tree.root, tree.version, tree.commit) == (folder / "easyeditor", "tree", None)
    (folder / "hparams").mkdir()
    git = folder / ".git"
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text("# pack\nabc123 refs/heads/main\n")
    tree = find_tree({"EASYEDIT_HOME": str(folder)})
    assert (tree.commit, tree.hparams) == ("abc123", folder / "hparams")
    (git / "HEAD").write_text("def456\n")
    assert find_tree({"EASYEDIT_HOME": str(folder)}).commit == "def456"


def test_a_missing_or_broken_easyedit_names_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend = r"pip install --no-deps easyeditor==0\.0\.1\.dev0"
    with pytest.raises(OptionError, match=rf"EASYEDIT_HOME is .*no folder easyeditor.*{mend}"):
        find_tree({"EASYEDIT_HOME": str(tmp_path)})
    folder = make_tree(tmp_path)
    (folder / "easyeditor/util/nethook.py").unlink()
    with pytest.raises(OptionError, match=rf"has no util/nethook\.py.*{mend}"):
        find_tree({"EASYEDIT_HOME": str(folder)})
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(OptionError, match=rf"no EasyEdit here; set EASYEDIT_HOME.*{mend}"):
        find_tree({})
    info = tmp_path / "easyedit-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: easyedit\nVersion: 0.0.1\n")
    monkeypatch.setattr("sys.path", [str(info.parent)])
    (folder / "easyeditor").rename(folder / "elsewhere")
    with pytest.raises(OptionError, match="easyedit, which is installed, is an empty one"):
        find_tree({})


def test_what_is_not_carried_is_refused_with_the_reason(tmp_path: Path) -> None:
    assert set(RECIPES).isdisjoint(REFUSED)
    with pytest.raises(OptionError, match=r"does not carry 'grace': it changes no parameter.*rome"):
        recipe_of("grace")
    with pytest.raises(OptionError, match="does not carry 'mend': it needs a hypernetwork"):
        method("easyedit-mend")
    with pytest.raises(OptionError, match=r"does not carry 'x'; it carries alphaedit, .*rome"):
        recipe_of("x")
    with pytest.raises(OptionError, match=r"has no memit \(models/memit\).*it has rome"):
        check_recipe(recipe_of("memit"), make_tree(tmp_path) / "easyeditor")
    for recipe in RECIPES.values():
        assert method(f"easyedit-{recipe.name}").name == f"easyedit-{recipe.name}"
