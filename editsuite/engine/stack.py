"""The decoder as a run of layers that can be entered and left anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from editsuite.engine.cache import LayerCache

if TYPE_CHECKING:
    from editsuite.cards import LoadedModel


#: Tokens (rows times width) of one forward pass. Enough to keep two cores busy; a batch of this
#: size on the default model holds about 50 MB of activations.
TOKEN_BUDGET = 2048


class DecoderStack:
    """Runs any span of a loaded model's layers on hidden states.

    The calls mirror what transformers' own ``forward`` does between the embedding and the head;
    a test holds them against it for every architecture. What differs between architectures is
    told by the modules themselves (a rotary module, a table of positions) and by the family.

    Args:
        loaded: the model and its family.
        token_budget: rows times width of one forward pass, for whoever batches.
    """

    def __init__(self, loaded: LoadedModel, token_budget: int = TOKEN_BUDGET) -> None:
        self.loaded = loaded
        self.token_budget = token_budget
        family = loaded.family
        self.layers: nn.ModuleList = loaded.module(family.layers)  # type: ignore[assignment]
        self._norm = loaded.module(family.final_norm)
        self._embedding = loaded.module(family.embedding)
        self._trunk: Any = loaded.module(family.layers.rpartition(".")[0])
        model: Any = loaded.model
        self._head: nn.Module = model.get_output_embeddings()

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
        cache: LayerCache | None = None,
    ) -> Tensor:
        """Run layers ``start`` (included) to ``stop`` (excluded).

        Args:
            hidden: ``[rows, width, hidden]``, the states entering layer ``start``.
            start: first layer to run.
            stop: layer before which to end.
            positions: ``[rows, width]`` position of each token in its sequence.
            mask: ``[rows, width, cached + width]`` bool, true where a query may look.
            cache: keys and values of earlier positions.

        Returns:
            The states entering layer ``stop``, ``[rows, width, hidden]``.
        """
        additive = self._additive(mask, hidden.dtype)
        rotary = getattr(self._trunk, "rotary_emb", None)
        shared: dict[str, Any] = {"position_ids": positions, "use_cache": cache is not None}
        if rotary is not None:
            shared["position_embeddings"] = rotary(hidden, position_ids=positions)
        for layer in list(self.layers)[start:stop]:
            windowed = self._windowed(layer, mask, additive)
            # Llama and GPT-2 call the cache past_key_values, GPT-J and GPT-NeoX layer_past;
            # a layer ignores the name that is not its own.
            out = layer(
                hidden,
                attention_mask=windowed,
                past_key_values=cache,
                layer_past=cache,
                **shared,
            )
            hidden = out[0] if isinstance(out, tuple) else out
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Final norm and vocabulary head on ``[..., hidden]``, giving float32 ``[..., vocab]``."""
        out: Tensor = self._head(self._norm(hidden))
        return out.float()

    @staticmethod
    def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
        lowest = torch.finfo(dtype).min
        zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
        return zeros.masked_fill(~mask, lowest).unsqueeze(1)

    def _windowed(self, layer: nn.Module, mask: Tensor, additive: Tensor) -> Tensor:
        """Narrow the mask to a layer's sliding window (Mistral, some Qwen layers)."""
        attention = layer.get_submodule(self.loaded.family.attention)
        # Where windows differ between layers, each attention block holds its own (Qwen); where
        # all layers share one, only the configuration does (Mistral).
        holder = attention if hasattr(attention, "sliding_window") else self.loaded.model.config
        window = getattr(holder, "sliding_window", None)
        if window is None or mask.shape[-1] <= window:
            return additive
        keys = mask.shape[-1]
        key_index = torch.arange(keys, device=mask.device)
        query_index = torch.arange(keys - mask.shape[1], keys, device=mask.device)
        near = key_index[None, :] > query_index[:, None] - window
        return self._additive(mask & near, additive.dtype)


def causal_mask(real: Tensor, queries: int | None = None) -> Tensor:
    """Which positions each query sees: itself and the real positions before it.

    Args:
        real: ``[rows, keys]`` bool, false at padding.
        queries: number of last positions that ask; all of them where None.

    Returns:
        ``[rows, queries, keys]`` bool. A padding query sees itself only, which keeps its softmax
        finite; nobody reads its result.
    """
    keys = real.shape[1]
    queries = keys if queries is None else queries
    key_index = torch.arange(keys, device=real.device)
    query_index = key_index[keys - queries :]
    before = key_index[None, :] <= query_index[:, None]
    itself = key_index[None, :] == query_index[:, None]
    return (before[None] & real[:, None, :]) | itself[None]
