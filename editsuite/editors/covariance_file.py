"""Covariances as files that others read and write: ROME's and EasyEdit's ``.npz``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from editsuite.errors import OptionError


def write_covariance(
    path: Path, matrix: Tensor, count: int, identity: Mapping[str, object]
) -> None:
    """Write the sum ``mom2.mom2`` (float64), ``mom2.count``, and what it was computed from.

    Args:
        path: the file.
        matrix: ``[d_ff, d_ff]`` float64, the mean over keys.
        count: number of keys.
        identity: JSON values; no other program reads it.

    Raises:
        OptionError: the file cannot be written.
    """
    arrays: dict[str, Any] = {
        "mom2.mom2": (matrix * count).numpy(),
        "mom2.count": np.array(count),
        "identity": np.array(json.dumps(identity)),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise OptionError(f"{path} cannot be written ({error}); name another file") from error


def read_covariance(path: Path, *, width: int, own: Mapping[str, object]) -> Tensor:
    """Read the mean over keys, ``[d_ff, d_ff]`` float64.

    Args:
        path: the file.
        width: ``d_ff`` of the layer it is for.
        own: what the layer is; where the file says what it was computed from, these must agree.

    Raises:
        OptionError: no such file, no covariance, or that of another model, layer or size.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held = dict(file)
        total, count = torch.from_numpy(held["mom2.mom2"]), float(held["mom2.count"])
        told = json.loads(str(held["identity"])) if "identity" in held else {}
    except (OSError, ValueError, TypeError, KeyError, BadZipFile) as error:
        raise OptionError(
            f"mom2_corpus: {path} is no covariance file ({error}); one holds the arrays mom2.mom2 "
            "and mom2.count, as ROME's and EasyEdit's layer_stats write them"
        ) from error
    for name, value in own.items():
        if told.get(name, value) != value:
            raise OptionError(
                f"mom2_corpus: {path} holds the covariance of {name} {str(told[name])[:12]}, this "
                f"is {name} {str(value)[:12]}; export this one (editsuite covariance export), and "
                "for several layers write {layer} in the path"
            )
    if total.shape != (width, width):
        raise OptionError(
            f"mom2_corpus: {path} holds a matrix of {tuple(total.shape)}; layer "
            f"{own.get('layer')} needs {width} x {width}"
        )
    return total.double() / count
