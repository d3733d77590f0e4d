"""A module whose output is replaced at some tokens: where methods that add to a model come in.

An adapter answers at *query tokens* only: the last token of what a sequence is asked with. Which
tokens these are belongs to the request and not to the model, so every pass through the adapter's
layer is told. Within one pass sequences have different lengths and may share a stretch; so where
sequences are compared, a query token is written as the complement of its id, and a stretch in
which it queries is another one than the same words in which nobody does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from torch import Tensor, nn

from editsuite.errors import EngineError


class Adapter(Protocol):
    """What stands behind one module of one layer."""

    @property
    def layer(self) -> int:
        """The layer; what enters it is as without the adapter."""
        ...

    @property
    def module(self) -> str:
        """Path of the module from the layer."""
        ...

    def __call__(self, entering: Tensor, leaving: Tensor) -> Tensor | None:
        """What goes on in place of the module's output.

        Args:
            entering: ``[queries, d_in]``, the module's input at the query tokens.
            leaving: ``[queries, d_out]``, what the module puts out there.

        Returns:
            ``[queries, d_out]``, or None where all of it stays: then no bit of the pass changes.
        """
        ...


def ask_at(tokens: Sequence[int], place: int) -> tuple[int, ...]:
    """The tokens with a query at one place, written as the complement of the id."""
    return (*tokens[:place], ~tokens[place], *tokens[place + 1 :])


def token_of(token: int) -> int:
    """A token's id, whether it queries or not."""
    return token if token >= 0 else ~token


def plain(tokens: Sequence[int]) -> tuple[int, ...]:
    """The ids of tokens of which some may query."""
    return tuple(map(token_of, tokens))


def unadapted(adapter: Adapter | None, layer: int) -> int:
    """The layer, if what enters it is as without the adapter.

    Raises:
        EngineError: it is not, so that states kept there would pass the adapter by.
    """
    if adapter is not None and adapter.layer < layer:
        raise EngineError(
            f"kept states enter layer {layer}, above the adapter at layer {adapter.layer}; resume "
            "at the lowest edited layer"
        )
    return layer


@contextmanager
def adapting(
    layers: nn.ModuleList, adapter: Adapter | None, span: range, queries: Tensor | None
) -> Iterator[None]:
    """Within, the adapter's module puts out what the adapter says at the query tokens.

    Args:
        layers: the model's layers.
        adapter: the adapter in place, if there is one.
        span: the layers that are about to run.
        queries: ``[rows, width]`` bool, true at query tokens.

    Raises:
        EngineError: the adapter's layer is among those that run and nobody said who queries.
    """
    if adapter is None or adapter.layer not in span:
        yield
        return
    if queries is None:
        raise EngineError(
            f"an adapter stands at layer {adapter.layer}, and this pass does not say which tokens "
            "query it; use score or generate, or take the edits off first"
        )
    if not bool(queries.any()):
        yield
        return

    def replace(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        put = adapter(inputs[0][queries], output[queries])
        if put is None:
            return None
        changed = output.clone()
        changed[queries] = put
        return changed

    handle = layers[adapter.layer].get_submodule(adapter.module).register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
