"""Products by oneDNN: the numbers of torch's own, and the same bits on any threads and rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from editsuite.cards import FAMILIES, tiny_model
from editsuite.engine import Continuation, DecoderStack, Ways, score, threads_keep_bits
from editsuite.engine.linear import Linears, linear

pytestmark = pytest.mark.skipif(
    not threads_keep_bits(), reason="this build of torch has no oneDNN product"
)

#: The products of the embedded default model, inputs and outputs of each.
SHAPES = ((576, 1536), (1536, 576), (576, 576), (576, 192), (192, 576))


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def exact(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The product in float64."""
    out = x.double() @ weight.double().T
    return out if bias is None else out + bias.double()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=0, max_size=2),
    st.integers(1, 70),
    st.integers(1, 70),
    st.booleans(),
    st.booleans(),
)
def test_any_shape_is_the_product_in_float64(
    leading: list[int], inputs: int, outputs: int, has_bias: bool, turned: bool
) -> None:
    x = drawn(1, *leading, inputs)
    weight = drawn(2, inputs, outputs).T if turned else drawn(2, outputs, inputs)
    bias = drawn(3, outputs) if has_bias else None
    out = linear(x, weight, bias)
    assert out.shape == (*leading, outputs)
    torch.testing.assert_close(out.double(), exact(x, weight, bias), atol=1e-4, rtol=1e-5)


def test_nothing_in_nothing_out() -> None:
    assert linear(torch.zeros(0, 4), drawn(1, 3, 4), None).shape == (0, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_threads_and_neighbours_leave_a_row_its_bits(shape: tuple[int, int]) -> None:
    inputs, outputs = shape
    x, weight = drawn(4, 300, inputs), drawn(5, outputs, inputs)
    torch.set_num_threads(1)
    whole = linear(x, weight, None)
    for threads in (1, 2, 3, 8, 16):
        torch.set_num_threads(threads)
        for first, number in ((0, 300), (17, 1), (3, 2), (40, 7), (100, 49)):
            part = linear(x[first : first + number], weight, None)
            assert torch.equal(part, whole[first : first + number]), (threads, first, number)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_keeps_its_bits_too(shape: tuple[int, int]) -> None:
    inputs, outputs = shape
    weight, above = drawn(6, outputs, inputs), drawn(7, 45, outputs)
    found = []
    for threads in (1, 2, 5, 16):
        torch.set_num_threads(threads)
        x = drawn(8, 45, inputs).requires_grad_()
        (gradient,) = torch.autograd.grad(linear(x, weight, None), x, above)
        found.append(gradient)
    torch.testing.assert_close(
        found[0].double(), above.double() @ weight.double(), atol=1e-3, rtol=1e-5
    )
    assert all(torch.equal(one, found[0]) for one in found)


def test_gradient_by_finite_differences() -> None:
    x = drawn(9, 3, 5).double().requires_grad_()
    weight, bias = drawn(10, 4, 5), drawn(11, 4)

    def loss(values: Tensor) -> Tensor:
        return (linear(values.float(), weight, bias).double() ** 2).sum()

    (gradient,) = torch.autograd.grad(loss(x), x)
    with torch.no_grad():
        for i in range(x.numel()):
            step = torch.zeros(x.numel()).double()
            step[i] = 1e-2
            wiggle = step.view_as(x)
            slope = (loss(x + wiggle) - loss(x - wiggle)) / 2e-2
            assert float(slope) == pytest.approx(float(gradient.flatten()[i]), rel=1e-3, abs=1e-3)


def test_whoever_trains_the_weight_gets_its_gradient() -> None:
    weight = drawn(12, 4, 5).requires_grad_()
    linear(drawn(13, 3, 5), weight, None).sum().backward()
    assert weight.grad is not None


def test_the_switch_is_off_outside_and_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(4, 4), Conv1D(4, 4), nn.ReLU())
    linears = Linears(model.modules())
    own = [type(module) for module in model]
    with linears.fast():
        assert [type(module) for module in model] != own
    assert [type(module) for module in model] == own
    with pytest.raises(RuntimeError), linears.fast():
        model(torch.zeros(1, 7))
    assert [type(module) for module in model] == own


def test_other_kinds_of_numbers_stay_with_torch() -> None:
    model = nn.Sequential(nn.Linear(4, 4).double(), nn.Linear(4, 4).bfloat16())
    with Linears(model.modules()).fast():
        assert {type(module) for module in model} == {nn.Linear}


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_log_likelihoods_agree_with_the_switch_off(architecture: str) -> None:
    loaded = tiny_model(architecture, 3)
    items = [Continuation((1, 2, 3), (4, 5)), Continuation((9,), (8, 7, 6)), Continuation((5,), ())]
    fast = score(DecoderStack(loaded), items)
    slow = score(DecoderStack(loaded, ways=Ways(fast_linear=False)), items)
    for one, other in zip(fast, slow, strict=True):
        assert one.predicted == other.predicted
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-5)
