"""MEND edits as plain autograd in float64 says it must, and its files are what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chains_ import bits
from hypothesis import given, settings
from hypothesis import strategies as st
from mend_ import (
    LAYERS,
    Plain,
    distance,
    doubles,
    facts,
    network,
    plain_update,
    prompts_of,
    stack_of,
    write,
)
from safetensors.torch import load_file, save_file
from torch import Tensor

from editsuite.cards import tiny_model
from editsuite.chains import Chain, Editing, ModelState, open_chain
from editsuite.editors import LowRank, Update, method
from editsuite.editors.gradients import gradient_parts
from editsuite.editors.hypernetwork import EPSILON, Hypernetwork, Normaliser, Parts
from editsuite.editors.hypernetwork_file import read_hypernetwork
from editsuite.editors.mend import BoundMend
from editsuite.engine import DecoderStack, states_entering
from editsuite.errors import EditError, OptionError
from editsuite.facts import EditRequest

pytestmark = pytest.mark.usefixtures("one_thread")

BOTH = pytest.mark.parametrize("architecture", ["gpt2", "llama"])
FACTS = facts(3)


def bind(
    stack: DecoderStack, path: Path, layers: tuple[int, ...] = LAYERS, **given: Any
) -> BoundMend:
    bound = method("mend").bind(
        stack,
        layers=layers,
        seed=0,
        hyperparameters={"hypernetwork": str(path), **given},
        cache=path.parent,
    )
    assert isinstance(bound, BoundMend)
    return bound


def bound_of(architecture: str, folder: Path) -> BoundMend:
    stack = stack_of(architecture)
    return bind(stack, write(folder / "net.safetensors", stack, network(stack)))


def dense(update: Update) -> dict[str, Tensor]:
    found = {}
    for name, change in update.factors.items():
        assert isinstance(change, LowRank)
        found[name] = change.output.double() @ change.input.double().T
    return found


def parts_of(stack: DecoderStack, requests: tuple[EditRequest, ...]) -> dict[str, Parts]:
    prompts = prompts_of(stack, requests)
    hidden = states_entering(stack, prompts.ids, prompts.places, min(LAYERS))
    shapes = network(stack).shapes
    return gradient_parts(stack, shapes, prompts, hidden, min(LAYERS))[1]


# --- the edit -----------------------------------------------------------------------------------


@BOTH
def test_the_update_is_the_formulas_on_plain_gradients(architecture: str, tmp_path: Path) -> None:
    stack, bound = stack_of(architecture), bound_of(architecture, tmp_path)
    net = bound.file.net
    plain = Plain.of(stack)
    statistics = {
        f"{key}.{side}": (normaliser.mean, (normaliser.squares / (normaliser.count - 1)).sqrt())
        for key, transform in net.transforms.items()
        for side in ("input", "output")
        for normaliser in [transform.get_submodule(side).double()]
    }
    for request in FACTS:
        update = bound.edit([request])
        (prompt,) = prompts_of_one(stack, request)
        wanted = plain_update(net, doubles(net), statistics, plain.gradients(*prompt))
        for name, change in dense(update).items():
            assert distance(change, wanted[name].detach()) < 1e-5
        after = float(plain.loss(*prompt, wanted).detach())
        assert update.record["nll_before"] == pytest.approx(float(plain.loss(*prompt)), rel=1e-5)
        assert update.record["nll_after"] == pytest.approx(after, rel=1e-5)
        whole = torch.cat([change.flatten() for change in wanted.values()])
        assert update.record["update_norm"] == pytest.approx(float(whole.detach().norm()), rel=1e-5)


def prompts_of_one(
    stack: DecoderStack, request: EditRequest
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """All ids and the target's, by a plain call of the tokenizer: one byte is one token here."""
    tokenizer = stack.loaded.tokenizer
    target = tuple(tokenizer(f" {request.target_new}")["input_ids"])
    return [(tuple(tokenizer(request.prompt)["input_ids"]) + target, target)]


@BOTH
def test_the_parts_sum_to_the_dense_gradient(architecture: str) -> None:
    stack = stack_of(architecture)
    plain = Plain.of(stack)
    together = parts_of(stack, FACTS)
    wanted = [plain.gradients(*prompts_of_one(stack, request)[0]) for request in FACTS]
    for name, parts in together.items():
        for number in range(len(FACTS)):
            own = parts.owner == number
            sum_of = parts.output[own].double().T @ parts.input[own].double()
            assert distance(sum_of, wanted[number][name][2]) < 1e-5
    assert set(together) == set(plain.names)


@BOTH
def test_only_tokens_with_a_gradient_give_parts(architecture: str) -> None:
    """Behind the last layer's attention, those that predict the target; below it, all."""
    stack = stack_of(architecture)
    prompts = prompts_of(stack, FACTS)
    for name, parts in parts_of(stack, FACTS).items():
        last = f".{stack.depth - 1}." in name
        assert len(parts.owner) == (len(prompts.read) if last else len(prompts.ids))


@BOTH
def test_a_batch_is_the_sum_of_single_updates_in_any_order(
    architecture: str, tmp_path: Path
) -> None:
    bound = bound_of(architecture, tmp_path)
    together = bound.edit(FACTS)
    alone = [dense(bound.edit([request])) for request in FACTS]
    for name, change in dense(together).items():
        assert distance(change, torch.stack([one[name] for one in alone]).sum(dim=0)) < 1e-5
    for order in permutations(FACTS):
        again = bound.edit(order)
        for name, factors in again.factors.items():
            first = together.factors[name]
            assert isinstance(factors, LowRank)
            assert isinstance(first, LowRank)
            assert torch.equal(factors.output, first.output)
            assert torch.equal(factors.input, first.input)


@BOTH
def test_the_edit_is_of_the_model_as_it_stands_and_leaves_it_alone(
    architecture: str, tmp_path: Path
) -> None:
    loaded = tiny_model(architecture, 7)
    stack = DecoderStack(loaded)
    bound = bind(stack, write(tmp_path / "net", stack, network(stack)))
    before = bits(loaded)
    first = bound.edit([FACTS[0]])
    assert bits(loaded) == before
    assert not any(module._forward_hooks for module in loaded.model.modules())
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    state = ModelState(loaded, bound.parameters)
    state.apply(first)
    # What the record promised is what the edited model says.
    looked = bound.edit([FACTS[0]])
    assert looked.record["nll_before"] == pytest.approx(float(str(first.record["nll_after"])), 1e-4)
    assert any(
        distance(a, b) > 1e-4
        for a, b in zip(dense(looked).values(), dense(first).values(), strict=True)
    )
    state.reset()
    assert bits(loaded) == before


def test_the_record_names_its_facts(tmp_path: Path) -> None:
    record = bound_of("llama", tmp_path).edit(FACTS).record
    assert record["facts"] == "s0, s1, s2"
    norms = [float(str(v)) for k, v in record.items() if k.startswith("update_norm.")]
    assert len(norms) == 6
    assert record["update_norm"] == pytest.approx(float(np.linalg.norm(norms)), rel=1e-5)


@pytest.mark.parametrize("layer", [0, 2, 3])
def test_weights_that_are_not_numbers_are_an_error(layer: int, tmp_path: Path) -> None:
    loaded = tiny_model("llama", 7)
    stack = DecoderStack(loaded)
    bound = bind(stack, write(tmp_path / "net", stack, network(stack)))
    loaded.down_proj_weight(layer).data[:, 0] = torch.nan
    with pytest.raises(EditError, match=r"s1.*not finite.*float32"):
        bound.edit([FACTS[1]])


def test_an_update_that_overflows_is_an_error(tmp_path: Path) -> None:
    stack = stack_of("llama")
    net = network(stack)
    net.rates.data[:] = 3e38
    bound = bind(stack, write(tmp_path / "net", stack, net))
    with pytest.raises(EditError, match=r"s1.*update is not finite"):
        bound.edit([FACTS[1]])


def test_a_prompt_beyond_the_context_is_named(tmp_path: Path) -> None:
    fact = EditRequest("Orla " + "long " * 60 + "speaks", "Orla", "Welsh", id="long-one")
    with pytest.raises(EditError, match=r"long-one.*tokens long.*256.*shorten"):
        bound_of("llama", tmp_path).edit([fact])


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_chain_cut_anywhere_ends_at_the_same_bits(cut: int, tmp_path: Path) -> None:
    def chain(folder: Path) -> Chain:
        stack = DecoderStack(tiny_model("llama", 7))
        path = write(tmp_path / "net", stack, network(stack))
        editing = Editing(
            method("mend"), LAYERS, facts(3), "stones", hyperparameters={"hypernetwork": str(path)}
        )
        return open_chain(stack, editing, folder)

    whole = chain(tmp_path / "whole")
    whole.ensure(3)
    chain(tmp_path / "cut").ensure(cut)
    resumed = chain(tmp_path / "cut")
    resumed.ensure(3)
    resumed.go(3)
    assert [resumed.digest(i) for i in range(4)] == [whole.digest(i) for i in range(4)]
    assert resumed.state.digest() == whole.digest(3)
    assert len({whole.digest(i) for i in range(4)}) == 4


# --- the network --------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(lambda s: sum(s) > 1),
    seed=st.integers(0, 99),
    size=st.sampled_from([1e-6, 1.0, 1e4]),
)
def test_the_normaliser_holds_mean_and_deviation_of_all_it_saw(
    sizes: list[int], seed: int, size: float
) -> None:
    random = np.random.default_rng(seed)
    pieces = [size * random.standard_normal((n, 4)) + size for n in sizes]
    normaliser = Normaliser(4)
    for piece in pieces:
        normaliser.see(torch.from_numpy(piece))
    whole = np.concatenate(pieces)
    deviation = whole.std(axis=0, ddof=1) + EPSILON
    wanted = (whole - whole.mean(axis=0)) / deviation
    got = normaliser(torch.from_numpy(whole)).numpy()
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


def test_the_network_begins_as_the_identity_and_can_move_from_there() -> None:
    """With relu, whose gradient at 0 is 0, nothing would ever be learned."""
    stack = stack_of("llama")
    net = Hypernetwork(network(stack).shapes, rank=4, rate=0.5)
    gradients = parts_of(stack, FACTS)
    net.see(gradients)
    for name, parts in net(gradients).items():
        shape = next(s for s in net.shapes if s.name == name)
        transform: Any = net.transforms[shape.key]
        assert torch.equal(parts.input, transform.input(gradients[name].input))
        assert torch.equal(parts.output, -0.5 * transform.output(gradients[name].output))
    torch.cat([parts.output.flatten() for parts in net(gradients).values()]).sum().backward()
    for name, parameter in net.named_parameters():
        if name.endswith((".b", ".bias", ".shift")) or name == "rates":
            assert parameter.grad is not None
            assert parameter.grad.any(), name


def test_the_same_seed_is_the_same_network() -> None:
    shapes = network(stack_of("llama")).shapes
    first, again, other = (Hypernetwork(shapes, rank=4, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


# --- the file -----------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path) -> Path:
    stack = stack_of("llama")
    return write(tmp_path / "net.safetensors", stack, network(stack))


def test_a_file_gives_back_the_network(written: Path) -> None:
    net, file = network(stack_of("llama")), read_hypernetwork(written)
    assert file.net.shapes == net.shapes
    assert (file.card, file.layers, file.notes) == ("tiny-llama-7", LAYERS, {"curve": []})
    state = net.state_dict()
    for name, tensor in file.net.state_dict().items():
        assert tensor.dtype == state[name].dtype
        torch.testing.assert_close(tensor, state[name], rtol=1e-6, atol=0)
    assert not any(parameter.requires_grad for parameter in file.net.parameters())
    assert b"pickle" not in written.read_bytes()


def test_half_precision_halves_the_matrices_and_nothing_else(written: Path, tmp_path: Path) -> None:
    stack = stack_of("llama")
    small = write(tmp_path / "half", stack, network(stack), dtype=torch.float16)
    whole, half = load_file(written), load_file(small)
    for name, tensor in half.items():
        matrix = name.endswith((".a", ".b"))
        assert tensor.dtype == (torch.float16 if matrix else torch.float32)
        assert torch.equal(tensor, whole[name].to(tensor.dtype))
    assert read_hypernetwork(small).net.rates.dtype == torch.float32


def test_a_missing_file_says_how_to_train_one(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.safetensors.*no such file.*train-mend"):
        bind(stack_of("llama"), tmp_path / "none.safetensors")


def test_no_network_is_shipped_for_another_card(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no hypernetwork is shipped for .*tiny.*train-mend"):
        bind(stack_of("llama"), tmp_path / "x", hypernetwork="shipped")


@pytest.mark.parametrize("damage", ["cut", "header", "empty", "text", "folder"])
def test_a_damaged_file_is_named(damage: str, written: Path) -> None:
    content = written.read_bytes()
    written.unlink()
    if damage == "folder":
        written.mkdir()
    else:
        spoilt = {
            "cut": content[: len(content) // 2],
            "header": b"\xff" * 16 + content[16:],
            "empty": b"",
            "text": b"PK\x03\x04 a zip of pickles",
        }
        written.write_bytes(spoilt[damage])
    with pytest.raises(OptionError, match=r"net\.safetensors.*train-mend"):
        read_hypernetwork(written)


def test_a_flipped_bit_shows_where_a_digest_is_wanted(written: Path) -> None:
    stack, digest = stack_of("llama"), read_hypernetwork(written).digest
    assert bind(stack, written, sha256=digest).inputs == {"hypernetwork": digest}
    content = bytearray(written.read_bytes())
    content[-1] ^= 1
    written.write_bytes(content)
    assert bind(stack, written).inputs != {"hypernetwork": digest}
    with pytest.raises(OptionError, match=f"sha256.*{digest}"):
        bind(stack, written, sha256=digest)


def test_a_network_for_another_model_is_refused(written: Path) -> None:
    with pytest.raises(OptionError, match=r"trained for model tiny-llama-7.*tiny-llama-8"):
        bind(DecoderStack(tiny_model("llama", 8)), written)


@pytest.mark.parametrize("layers", [(3,), (1, 2), (1, 2, 3)])
def test_other_layers_are_refused(layers: tuple[int, ...], written: Path) -> None:
    with pytest.raises(OptionError, match=r"layers 2,3.*--edit-layers=2,3"):
        bind(stack_of("llama"), written, layers)
    with pytest.raises(OptionError, match=r"layers 2,3.*--edit-layers=2,3"):
        check(written, layers)
    assert bind(stack_of("llama"), written, (3, 2)).parameters


def check(path: Path, layers: tuple[int, ...] = LAYERS, **given: object) -> None:
    """What a run asks of the method before it loads a model."""
    card = stack_of("llama").loaded.card
    early: Any = method("mend")
    early.check(card, layers, {"hypernetwork": str(path), **given})


def test_what_the_card_shows_is_refused_before_a_model_is_loaded(written: Path) -> None:
    check(written)
    with pytest.raises(OptionError, match="no hypernetwork is shipped"):
        check(written, hypernetwork="shipped")
    with pytest.raises(OptionError, match="sha256"):
        check(written, sha256="0" * 64)
    with pytest.raises(OptionError, match=r"hypernet.*it knows"):
        check(written, hypernet="x")
    with pytest.raises(OptionError, match="no such file"):
        check(written.with_name("other"))


@pytest.mark.parametrize(
    "lie",
    [
        {"format": "editsuite-mend-0"},
        {"rank": 6},
        {"rank": "5"},
        {"n_hidden": 0},
        {"n_hidden": 10**9},
        {"n_hidden": -1},
        {"shapes": []},
        {"shapes": "none"},
        {"shapes": [["a.weight", 10**9, 10**9]]},
        {"shapes": [["a.weight", 32, -1]]},
        {"layers": None},
        {"layers": ["two"]},
        {"notes": 3},
    ],
    ids=str,
)
def test_a_header_that_lies_is_told(lie: dict[str, object], written: Path) -> None:
    rewrite(written, {**header_of(written), **lie})
    with pytest.raises(OptionError, match=r"net\.safetensors.*train-mend"):
        read_hypernetwork(written)


@pytest.mark.parametrize("key", ["format", "model", "card", "layers", "shapes", "rank", "notes"])
def test_a_header_that_lacks_a_key_is_told(key: str, written: Path) -> None:
    rewrite(written, {k: v for k, v in header_of(written).items() if k != key})
    with pytest.raises(OptionError, match=r"net\.safetensors.*train-mend"):
        read_hypernetwork(written)


def test_maps_of_another_name_are_refused(written: Path) -> None:
    header = header_of(written)
    header["shapes"] = [[f"other.{i}", *shape[1:]] for i, shape in enumerate(header["shapes"])]
    rewrite(written, header)
    with pytest.raises(OptionError, match="matrices are not those"):
        bind(stack_of("llama"), written)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    stack = stack_of("llama")
    net = network(stack)
    net.rates.data[0] = torch.nan
    with pytest.raises(OptionError, match="rates holds numbers that are not finite"):
        read_hypernetwork(write(tmp_path / "net", stack, net))


def test_tensors_without_a_header_are_no_hypernetwork(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    save_file({"rates": torch.ones(3)}, path)
    with pytest.raises(OptionError, match="is no hypernetwork"):
        read_hypernetwork(path)


def header_of(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        header: dict[str, Any] = json.loads(file.metadata()["editsuite"])
    return header


def rewrite(path: Path, header: dict[str, Any]) -> None:
    save_file(load_file(path), path, {"editsuite": json.dumps(header)})


# --- dtypes -------------------------------------------------------------------------------------


def test_a_model_in_bfloat16_is_edited_in_float32(tmp_path: Path) -> None:
    loaded = tiny_model("llama", 7)
    exact = bound_of("llama", tmp_path).edit([FACTS[0]])
    loaded.model.to(torch.bfloat16)  # type: ignore[call-overload]
    stack = DecoderStack(replace(loaded, dtype=torch.bfloat16))
    bound = bind(stack, write(tmp_path / "net", stack, network(stack_of("llama"))))
    for name, change in bound.edit([FACTS[0]]).factors.items():
        assert isinstance(change, LowRank)
        assert change.output.dtype == change.input.dtype == torch.float32
        assert change.output.shape == exact.factors[name].output.shape  # type: ignore[union-attr]
