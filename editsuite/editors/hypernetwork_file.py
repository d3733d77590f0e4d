"""A trained hypernetwork on disk: one safetensors file that says which model it is for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from editsuite.editors.hypernetwork import Hypernetwork, MapShape
from editsuite.errors import OptionError
from editsuite.files import sha256_of, write_atomically

#: What the file says of itself; raised when its contents mean something else.
FORMAT = "editsuite-mend-1"

#: The mend that every error about a file ends with.
HOW_TO_TRAIN = (
    "train one with: editsuite train-mend --model MODEL --facts FACTS --out FILE, and name it by "
    "--edit-set=mend.hypernetwork=FILE"
)


@dataclass(frozen=True)
class HypernetworkFile:
    """A hypernetwork and what its file says of it.

    Attributes:
        net: in float32, on the CPU, without gradients.
        model: digest of the model it was trained for.
        card: name of that model's card, for people.
        layers: edited layers.
        notes: recipe, facts and loss curve.
        digest: hex sha256 of the file's bytes.
    """

    net: Hypernetwork
    model: str
    card: str
    layers: tuple[int, ...]
    notes: Mapping[str, Any]
    digest: str


def write_hypernetwork(
    path: Path,
    net: Hypernetwork,
    *,
    model: str,
    card: str,
    layers: Sequence[int],
    notes: Mapping[str, object],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a hypernetwork in one step.

    Args:
        path: the file.
        net: the network.
        model: digest of the model it was trained for.
        card: name of that model's card.
        layers: edited layers.
        notes: JSON values; what the network was trained from and how it went.
        dtype: of the stored weights; statistics and rates keep float32.
    """
    from safetensors.torch import save

    header = {
        "format": FORMAT,
        "model": model,
        "card": card,
        "layers": list(layers),
        "shapes": [[shape.name, shape.d_in, shape.d_out] for shape in net.shapes],
        "rank": net.rank,
        "n_hidden": net.n_hidden,
        "notes": dict(notes),
    }
    tensors = {name: _stored(name, t, dtype) for name, t in net.state_dict().items()}
    # One key alone: safetensors writes several in any order, and the file would have other bytes.
    metadata = {"editsuite": json.dumps(header, sort_keys=True)}
    write_atomically(path, save(tensors, metadata))


def _stored(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    # The network's matrices are nearly all of the file; the rest is small and spans many orders.
    kept = dtype if name.endswith((".a", ".b")) else torch.float32
    return tensor.detach().to("cpu", kept).contiguous()


def read_hypernetwork(path: Path, *, sha256: str | None = None) -> HypernetworkFile:
    """Read and check a hypernetwork.

    Args:
        path: the file.
        sha256: what its bytes must be, or None.

    Raises:
        OptionError: there is no such file, it is damaged, it is no hypernetwork, its header tells
            of other tensors, or its bytes are others than ``sha256`` says.
    """
    if not path.is_file():
        raise OptionError(f"hypernetwork {path}: there is no such file; {HOW_TO_TRAIN}")
    header, tensors, digest = _contents(path)
    if sha256 is not None and digest != sha256:
        raise OptionError(
            f"hypernetwork {path}: its sha256 is {digest}, wanted is {sha256}: the file is "
            "damaged or another one; install again, or train one (editsuite train-mend)"
        )
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise OptionError(
            f"hypernetwork {path}: is no hypernetwork of this version (format {FORMAT}); "
            f"{HOW_TO_TRAIN}"
        )
    try:
        return HypernetworkFile(
            _net_of(header, tensors),
            str(header["model"]),
            str(header["card"]),
            tuple(int(layer) for layer in header["layers"]),
            dict(header["notes"]),
            digest,
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise OptionError(
            f"hypernetwork {path}: its tensors are not those its header tells of "
            f"({type(error).__name__}: {error}); copy the file again, or {HOW_TO_TRAIN}"
        ) from error


def _contents(path: Path) -> tuple[object, dict[str, Tensor], str]:
    """Header, tensors and sha256 of a file's bytes, none of them checked."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("editsuite", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return header, tensors, sha256_of(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise OptionError(
            f"hypernetwork {path}: cannot be read ({error}); it is damaged or no safetensors file. "
            f"Copy it again, or {HOW_TO_TRAIN}"
        ) from error


def _net_of(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Hypernetwork:
    """The network that the header tells of; whatever does not fit raises."""
    shapes = [MapShape(str(name), d_in, d_out) for name, d_in, d_out in header["shapes"]]
    rank, n_hidden = header["rank"], header["n_hidden"]
    if not 0 <= n_hidden < len(tensors):
        raise ValueError(f"{n_hidden} hidden layers in {len(tensors)} tensors")
    with torch.device("meta"):  # a header that lies about sizes must not cost memory
        sketch = Hypernetwork(shapes, rank=rank, n_hidden=n_hidden).state_dict()
    for name in sorted({*sketch, *tensors}):
        if name not in tensors or name not in sketch:
            raise ValueError(f"{name} is in the {'header' if name in sketch else 'file'} alone")
        if sketch[name].shape != tensors[name].shape:
            raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}")
        if not bool(torch.isfinite(tensors[name]).all()):
            raise ValueError(f"{name} holds numbers that are not finite")
    net = Hypernetwork(shapes, rank=rank, n_hidden=n_hidden)
    net.load_state_dict(dict(tensors))
    return net.requires_grad_(False).eval()
