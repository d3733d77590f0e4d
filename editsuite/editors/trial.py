"""Changes on trial: the model as it would be with them, without a weight being touched.

A method that edits several layers must see, at each, what the changes of the earlier ones do. Only
a chain's state writes weights, so here every product of an edited layer gets the change's own
product added to it: ``W x + output (input^T x)``, which is ``(W + output input^T) x`` but for
rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor

from editsuite.editors.protocol import LowRank
from editsuite.engine import DecoderStack


@contextmanager
def on_trial(stack: DecoderStack, changes: Mapping[int, LowRank]) -> Iterator[None]:
    """Within, some layers' down projections put out what they would if they were changed.

    Args:
        stack: the model, in any state; its weights keep their bits.
        changes: by layer, the change of its down projection.
    """
    with ExitStack() as hooks:
        for layer, change in changes.items():
            module = stack.layers[layer].get_submodule(stack.loaded.family.down_proj)
            hooks.callback(module.register_forward_hook(_adder(stack, change)).remove)
        yield


def _adder(
    stack: DecoderStack, change: LowRank
) -> Callable[[object, tuple[Tensor, ...], Tensor], Tensor]:
    product, entering = stack.product, change.input.T.contiguous()

    def add(_: object, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        through = product(inputs[0].to(entering.dtype), entering, None)
        return output + product(through, change.output, None).to(output.dtype)

    return add
