"""The decoder as a run of layers that can be entered and left anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from editsuite.engine.adapter import Adapter, adapting, unadapted
from editsuite.engine.cache import Cache
from editsuite.engine.linear import Linears, Product, frozen_product
from editsuite.engine.mask import Sight
from editsuite.engine.memory import find_token_budget
from editsuite.engine.resume import ResumeCache
from editsuite.engine.ways import Ways

if TYPE_CHECKING:
    from editsuite.cards import LoadedModel


def at_least_float32(values: Tensor) -> Tensor:
    """Values in float32, or as they are where they are of double precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


class DecoderStack:
    """Runs any span of a loaded model's layers on hidden states.

    The calls mirror what transformers' own ``forward`` does between the embedding and the head;
    a test holds them against it for every architecture. What differs between architectures is
    told by the modules themselves (a rotary module, a table of positions) and by the family.

    Args:
        loaded: the model and its family.
        token_budget: tokens of one forward pass, for whoever batches; found from the device
            where None.
        ways: which short cuts to take.

    Attributes:
        resume: kept states of the layers below the lowest edit, or None to run every layer.
        adapter: what stands behind a module at query tokens, or None.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        token_budget: int | None = None,
        *,
        ways: Ways | None = None,
    ) -> None:
        self.loaded = loaded
        self.token_budget = token_budget or find_token_budget(loaded)
        self.ways = ways or Ways()
        self.resume: ResumeCache | None = None
        self.adapter: Adapter | None = None
        self._pace: Callable[[], None] | None = None
        self._linears = Linears(loaded.model.modules()) if self.ways.fast_linear else None
        family = loaded.family
        self.layers: nn.ModuleList = loaded.module(family.layers)  # type: ignore[assignment]
        self.norm = loaded.module(family.final_norm)
        self._embedding = loaded.module(family.embedding)
        self._trunk: Any = loaded.module(family.layers.rpartition(".")[0])
        model: Any = loaded.model
        self.head: nn.Module = model.get_output_embeddings()

    def resumed(self, cache: ResumeCache | None) -> AbstractContextManager[None]:
        """Within, scores and generations start from the states that ``cache`` keeps; the layers
        below ``cache.layer`` must be unedited, which nothing can check here."""
        return self._within("resume", cache)

    def adapted(self, adapter: Adapter | None) -> AbstractContextManager[None]:
        """Within, ``adapter`` is in place and no other is."""
        return self._within("adapter", adapter)

    def paced(self, pace: Callable[[], None]) -> AbstractContextManager[None]:
        """Within, ``pace`` is called before every forward pass; it may change torch's threads."""
        return self._within("_pace", pace)

    @contextmanager
    def _within(self, name: str, value: object) -> Iterator[None]:
        before = getattr(self, name)
        setattr(self, name, value)
        try:
            yield
        finally:
            setattr(self, name, before)

    @property
    def resumes_at(self) -> int:
        """The layer whose entering states are kept; 0 where none are.

        Raises:
            EngineError: an adapter stands below it, so that kept states would pass it by.
        """
        return unadapted(self.adapter, self.resume.layer if self.resume is not None else 0)

    def keep_pace(self) -> None:
        """Call what ``paced`` was given; for forward passes that do not go through ``run``."""
        if self._pace is not None:
            self._pace()

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def device(self) -> torch.device:
        """Where the hidden states live."""
        return self.loaded.device

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Hidden states entering layer 0, ``[rows, width, hidden]``."""
        hidden: Tensor = self._embedding(ids)
        if hasattr(self._trunk, "wpe"):  # GPT-2 adds a learned vector for each position
            hidden = hidden + self._trunk.wpe(positions)
        return hidden

    def run(
        self,
        hidden: Tensor,
        *,
        start: int,
        stop: int,
        positions: Tensor,
        mask: Tensor,
        cache: Cache | None = None,
        key_positions: Tensor | None = None,
        queries: Tensor | None = None,
    ) -> Tensor:
        """Run layers ``start`` (included) to ``stop`` (excluded).

        Args:
            hidden: ``[rows, width, hidden]``, the states entering layer ``start``.
            start: first layer to run.
            stop: layer before which to end.
            positions: ``[rows, width]`` position of each token in its sequence.
            mask: ``[rows, width, cached + width]`` bool, true where a query may look.
            cache: keys and values of earlier positions.
            key_positions: ``[rows, cached + width]`` position of each key in its sequence, where
                it is not the key's column (packed rows); sliding windows are measured by it.
            queries: ``[rows, width]`` bool, true at tokens that ask the adapter; needed where
                its layer is among those that run.

        Returns:
            The states entering layer ``stop``, ``[rows, width, hidden]``.

        Raises:
            EngineError: an adapter is in place there and ``queries`` are not given.
        """
        self.keep_pace()
        span = range(start, stop)
        with self._products(), adapting(self.layers, self.adapter, span, queries):
            sight = Sight.of(mask, positions, key_positions, hidden.dtype)
            return self._run(hidden, span, positions, sight, cache)

    def _run(
        self,
        hidden: Tensor,
        span: range,
        positions: Tensor,
        sight: Sight,
        cache: Cache | None,
    ) -> Tensor:
        rotary = getattr(self._trunk, "rotary_emb", None)
        shared: dict[str, Any] = {"position_ids": positions, "use_cache": cache is not None}
        if rotary is not None:
            shared["position_embeddings"] = rotary(hidden, position_ids=positions)
        for layer in list(self.layers)[span.start : span.stop]:
            # Llama and GPT-2 call the cache past_key_values, GPT-J and GPT-NeoX layer_past;
            # a layer ignores the name that is not its own.
            out = layer(
                hidden,
                attention_mask=sight.within(self.window(layer)),
                past_key_values=cache,
                layer_past=cache,
                **shared,
            )
            hidden = out[0] if isinstance(out, tuple) else out
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Final norm and vocabulary head: ``[..., hidden]`` to ``[..., vocab]``.

        Float32, or float64 where the model is.
        """
        with self._products():
            out: Tensor = self.head(self.norm(hidden))
        return at_least_float32(out)

    @property
    def product(self) -> Product:
        """``x @ weight.T + bias`` for weights that get no gradient, as ``ways`` have it."""
        return frozen_product(self.loaded.model) if self.ways.fast_linear else nn.functional.linear

    def _products(self) -> AbstractContextManager[None]:
        return self._linears.fast() if self._linears is not None else nullcontext()

    def rotary(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine tables of a model with rotary positions, ``[tokens, head]`` each."""
        weight = next(self.loaded.model.parameters())
        cos, sin = self._trunk.rotary_emb(weight, position_ids=positions[None])
        return cos[0], sin[0]

    def window(self, layer: nn.Module) -> int | None:
        """A layer's sliding window in tokens (Mistral, some Qwen layers)."""
        attention = layer.get_submodule(self.loaded.family.attention)
        # Where windows differ between layers, each attention block holds its own (Qwen); where
        # all layers share one, only the configuration does (Mistral).
        holder = attention if hasattr(attention, "sliding_window") else self.loaded.model.config
        window: int | None = getattr(holder, "sliding_window", None)
        return window
