"""Device, dtype and memory: what is asked for is checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil
import torch

from editsuite.cards.card import ModelCard
from editsuite.errors import ModelLoadError, listing

_DTYPES: Final[dict[str, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

#: Memory asked for beyond the bare weights, for activations and the loader's own copies.
MEMORY_MARGIN: Final = 1.2

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CGROUP_USED = Path("/sys/fs/cgroup/memory.current")


def resolve_device(device: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` into a device that is there.

    ``auto`` is the first visible GPU, else the CPU.

    Args:
        device: The value of ``--edit-device``.

    Returns:
        The device; CUDA always with its index.

    Raises:
        ModelLoadError: If the name is unknown or the machine has no such device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda", 0) if count else torch.device("cpu")
    kind, _, index = device.partition(":")
    if device == "cpu":
        return torch.device("cpu")
    if device == "mps":
        if torch.backends.mps.is_available():
            return torch.device("mps")
        raise ModelLoadError("device 'mps': this machine has no Apple GPU; use --edit-device cpu")
    if kind != "cuda" or (device != "cuda" and not index.isdecimal()):
        known = "auto, cpu, cuda, cuda:N, mps"
        raise ModelLoadError(f"device {device!r} is unknown; use one of {known}")
    number = int(index or 0)
    if number >= count:
        raise ModelLoadError(
            f"device {device!r}: torch {torch.__version__} sees {count} CUDA device(s) here; use "
            "--edit-device cpu, or install a CUDA build of torch and check CUDA_VISIBLE_DEVICES"
        )
    return torch.device("cuda", number)


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Turn a dtype's name into a torch dtype that the device can work in.

    Args:
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        device: Where the model will live.

    Returns:
        The dtype.

    Raises:
        ModelLoadError: If the name is unknown, or it is float16 on the CPU.
    """
    if dtype not in _DTYPES:
        raise ModelLoadError(f"dtype {dtype!r} is unknown; use one of {listing(_DTYPES)}")
    if dtype == "float16" and device.type == "cpu":
        raise ModelLoadError(
            "dtype 'float16' on the CPU: its arithmetic is emulated, slow, and overflows at 65504 "
            "inside long sums; use --edit-dtype bfloat16 (same size) or float32"
        )
    return _DTYPES[dtype]


def available_memory(device: torch.device) -> int:
    """Return the free bytes on a device; on the CPU the container's limit counts too."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    free = int(psutil.virtual_memory().available)
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
        if limit.isdecimal():
            free = min(free, int(limit) - int(_CGROUP_USED.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return free
    return free


def check_memory(card: ModelCard, device: torch.device, dtype: torch.dtype) -> None:
    """Refuse a model that will not fit, before its weights are read.

    Args:
        card: The model; its ``parameters`` are counted.
        device: Where it shall live.
        dtype: In which dtype.

    Raises:
        ModelLoadError: If ``parameters`` x bytes of the dtype, plus 20 %, exceed what is free.
    """
    needed = int(card.parameters * dtype.itemsize * MEMORY_MARGIN)
    free = available_memory(device)
    if needed <= free:
        return
    name = str(dtype).removeprefix("torch.")
    smaller = dtype.itemsize > 2
    mend = "--edit-dtype bfloat16 (half the memory), another --edit-device," if smaller else ""
    raise ModelLoadError(
        f"model {card.name!r} does not fit on {device}: {card.parameters:,} parameters in {name} "
        f"need {_gigabytes(needed)} with a margin of 20 %, and {_gigabytes(free)} are free; "
        f"use {mend or 'another --edit-device'} or a smaller --edit-model"
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
