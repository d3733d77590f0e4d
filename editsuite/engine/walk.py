"""Packed passes through the model: shared prefixes once, the lower layers once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from editsuite.engine.adapter import plain
from editsuite.engine.cache import LayerCache
from editsuite.engine.packing import Places, sight
from editsuite.engine.resume import same_device
from editsuite.engine.stack import DecoderStack
from editsuite.engine.tree import Pass


@dataclass
class _Trunk:
    """A common prefix that later passes stand on.

    Attributes:
        tokens: all its tokens, from the first position on.
        upper: keys and values of the layers from the resumed one on.
        lower: those of the layers below; None until a pass has to run them.
        step: the pass that made it.
        above: the trunk it stands on.
    """

    tokens: tuple[int, ...]
    upper: LayerCache
    lower: LayerCache | None
    step: Pass
    above: _Trunk | None


@dataclass
class Walk:
    """Runs the passes of one tree in order, in the model's present state.

    Args:
        stack: the model.
    """

    stack: DecoderStack
    _trunks: list[_Trunk] = field(default_factory=list)

    @torch.no_grad()
    def run(self, step: Pass) -> Tensor:
        """Hidden states leaving the last layer, ``[tokens of the pass, hidden]``."""
        del self._trunks[step.depth :]
        above = self._trunks[-1] if self._trunks else None
        layout = _Layout(self.stack, step, above)
        entering, lower = self._entering(layout)
        upper = _begin(above.upper if above else None, grow=step.trunk)
        out = layout.run(entering, self._layer, self.stack.depth, upper)
        if step.trunk:
            tokens = (above.tokens if above else ()) + layout.tokens
            self._trunks.append(_Trunk(tokens, upper.frozen(), lower, step, above))
        return out[0]

    @property
    def _layer(self) -> int:
        return self.stack.resumes_at

    def _entering(self, layout: _Layout) -> tuple[Tensor, LayerCache | None]:
        """States entering the resumed layer; and the lower cache, where it had to be run."""
        resume = self.stack.resume
        if resume is None:
            return layout.embedded(), None
        made: list[LayerCache] = []

        def compute() -> Mapping[str, Tensor]:
            hidden, lower = self._lower_run(layout)
            made.append(lower)
            return {"hidden": hidden}

        states = same_device(resume.states(layout.identity, compute), self.stack.device)
        return states["hidden"], made[0].frozen() if made else None

    def _lower_run(self, layout: _Layout) -> tuple[Tensor, LayerCache]:
        """Run the layers below the resumed one, those of the trunk first where they are missing."""
        above = layout.above
        if above is not None and above.lower is None:
            _, lower = self._lower_run(_Layout(self.stack, above.step, above.above))
            above.lower = lower.frozen()
        cache = _begin(above.lower if above else None, grow=layout.step.trunk)
        return layout.run(layout.embedded(), 0, self._layer, cache), cache


def _begin(below: LayerCache | None, *, grow: bool) -> LayerCache:
    if below is None:
        return LayerCache(grow=grow)
    return below.growing() if grow else below


@dataclass(frozen=True)
class _Layout:
    """The tokens of a pass and who sees whom."""

    stack: DecoderStack
    step: Pass
    above: _Trunk | None

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        return tuple(token for node in self.step.nodes for token in node.tokens)

    @property
    def identity(self) -> list[object]:
        """All that the states entering the resumed layer depend on, but for the model.

        Who queries is no part of it: the adapter stands at that layer or above.
        """
        below, trunk = [], self.above
        while trunk is not None:
            below.append(plain(trunk.step.nodes[0].tokens))
            trunk = trunk.above
        nodes = [(n.first, plain(n.tokens)) for n in self.step.nodes]
        return [below[::-1], nodes, self.step.above]

    @cached_property
    def _places(self) -> Places:
        spans = [(node.first, len(node.tokens)) for node in self.step.nodes]
        return Places.of(spans, self.stack.device, number=1)

    @cached_property
    def _keys(self) -> Places:
        if self.above is None:
            return self._places
        below = Places.of([(0, len(self.above.tokens))], self.stack.device)
        return below.then(self._places)

    @cached_property
    def _mask(self) -> Tensor:
        """Every node sees the trunk (number 0) and the nodes of this pass that it continues."""
        number = len(self.step.nodes) + 1
        continues = torch.zeros(number, number, dtype=torch.bool)
        continues[:, 0] = True
        for i, parent in enumerate(self.step.above):
            if parent >= 0:
                continues[i + 1] |= continues[parent + 1]
                continues[i + 1, parent + 1] = True
        return sight(self._places, self._keys, continues.to(self.stack.device))

    def embedded(self) -> Tensor:
        ids = torch.tensor([plain(self.tokens)], device=self.stack.device)
        return self.stack.embed(ids, self._places.position[None])

    def run(self, hidden: Tensor, start: int, stop: int, cache: LayerCache) -> Tensor:
        return self.stack.run(
            hidden,
            start=start,
            stop=stop,
            positions=self._places.position[None],
            mask=self._mask,
            key_positions=self._keys.position[None],
            cache=cache,
            queries=torch.tensor([self.tokens], device=self.stack.device) < 0,
        )
