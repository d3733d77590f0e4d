"""How many tokens a forward pass may take, and what to do where memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from editsuite.errors import EngineError

if TYPE_CHECKING:
    from editsuite.cards import LoadedModel

#: On a CPU the products are as fast as they get from some hundred rows on, and attention over
#: what is packed beside them costs more and more.
CPU_TOKENS = 512
#: Of a GPU's free memory, what one pass may take.
GPU_SHARE = 0.25
GPU_TOKENS = (512, 16384)
#: Bytes of keys and values of sequences that are continued together.
CPU_CACHE = 1536 << 20


def find_token_budget(loaded: LoadedModel) -> int:
    """Tokens of one forward pass that suit the device and fit its free memory."""
    if loaded.device.type != "cuda":
        return CPU_TOKENS
    free, _ = torch.cuda.mem_get_info(loaded.device)
    config: Any = loaded.model.config
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    per_token = loaded.dtype.itemsize * (8 * hidden + 3 * inner + 2 * hidden * loaded.n_layers)
    least, most = GPU_TOKENS
    return max(least, min(most, int(free * GPU_SHARE / per_token)))


def find_cached_tokens(loaded: LoadedModel) -> int:
    """Tokens whose keys and values may be held at once while sequences are continued."""
    config: Any = loaded.model.config
    heads = int(config.num_attention_heads)
    shared = int(getattr(config, "num_key_value_heads", None) or heads)
    width = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    per_token = 2 * loaded.n_layers * shared * width * loaded.dtype.itemsize
    if loaded.device.type != "cuda":
        return max(1, CPU_CACHE // per_token)
    free, _ = torch.cuda.mem_get_info(loaded.device)
    return max(1, int(free * GPU_SHARE) // per_token)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # The CPU allocator has no error class of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


@dataclass
class Budget:
    """One try with a token budget; as a context it takes up an error that says out of memory."""

    tokens: int
    failed: BaseException | None = None

    def __enter__(self) -> Budget:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None or not out_of_memory(error):
            return False
        self.failed = error.with_traceback(None)  # the frames hold the tensors that filled it
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return True


def shrinking(tokens: int) -> Iterator[Budget]:
    """Budgets to try: the given one, and half as much each time memory runs out.

    Raises:
        EngineError: a pass of one token's budget, which takes one item at a time, still fails.
    """
    while True:
        budget = Budget(tokens)
        yield budget
        if budget.failed is None:
            return
        if tokens == 1:
            raise EngineError(
                "memory ran out even for one item at a time; use a smaller model, "
                "--edit-dtype bfloat16, or a machine with more memory"
            ) from budget.failed
        tokens //= 2
