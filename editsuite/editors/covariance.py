"""The covariance of keys: what the closed form weighs other knowledge by.

``C = E[k k^T]`` over the inputs of a down projection on plain text (paper section A.2; 100,000
Wikipedia samples there). Kept on disk with the model's digest, the corpus, its size and seed; a
sequence of edits keeps the unedited model's covariance, as is usual. (For a chain that edits
layer L alone that is no approximation: no edit at L changes the inputs of L's down projection.)
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from editsuite.editors.corpus import read_corpus
from editsuite.engine import DecoderStack, batches, causal_mask, pad
from editsuite.errors import ChainError, OptionError
from editsuite.files import sha256_of
from editsuite.sealed import find_sealed, seal, unseal

#: Tokens of one sequence; longer texts are cut into pieces of this length.
WINDOW = 256
VERSION = 1


class CovarianceSource:
    """The covariance of one layer's keys: found on disk, imported, or computed when first used.

    Args:
        stack: the unedited model.
        layer: the layer whose down projection reads the keys.
        corpus: ``self``, ``file:PATH`` or ``npz:PATH`` (ROME's and EasyEdit's own files).
        n_tokens: tokens to read at most.
        cache: folder of the kept statistics.
    """

    def __init__(
        self, stack: DecoderStack, layer: int, corpus: str, n_tokens: int, cache: Path
    ) -> None:
        self._stack, self._layer, self._spec = stack, layer, corpus
        self._n_tokens, self._cache = n_tokens, cache

    @cached_property
    def identity(self) -> Mapping[str, object]:
        """What the matrix was computed from; two equal identities mean the same matrix."""
        base = {"version": VERSION, "model": self._stack.loaded.digest, "layer": self._layer}
        if self._spec.startswith("npz:"):
            path = self._npz_path()
            return {**base, "corpus": path.name, "digest": sha256_of(path)}
        corpus = read_corpus(self._spec, self._stack, self._cache)
        return {
            **base,
            "corpus": corpus.name,
            "digest": corpus.digest,
            "n_tokens": self._n_tokens,
            "window": WINDOW,
            "dtype": str(self._stack.loaded.dtype).removeprefix("torch."),
        }

    def ready(self) -> None:
        """Have the matrix at hand, computing it if it must be; the model must be unedited."""
        _ = self._factor

    def solve(self, key: Tensor) -> Tensor:
        """``C^-1 key`` for ``[d_ff]``, solved in float64, returned in float32."""
        solved = torch.cholesky_solve(key.double().cpu()[:, None], self._factor)[:, 0]
        return solved.float().to(key.device)

    @cached_property
    def matrix(self) -> Tensor:
        """``[d_ff, d_ff]`` float64 on the CPU."""
        if self._spec.startswith("npz:"):
            return self._imported()
        key = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:32]
        folder = self._cache / "covariance"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock"):
            for path in find_sealed(folder, key):
                try:
                    held = unseal(path)
                    if held.metadata.get("identity") == json.dumps(self.identity):
                        return held.tensors["mom2"].double()
                    reason = f"{path} is foreign: it holds {held.metadata.get('identity')}"
                except ChainError as error:
                    reason = str(error)
                warnings.warn(f"covariance: {reason}; computed anew", stacklevel=2)
                path.unlink()
            total, count = second_moment(self._stack, self._layer, self._pieces())
            mean = (total / count).float()
            seal(
                folder,
                key,
                {"mom2": mean},
                {"identity": json.dumps(self.identity), "tokens": str(count)},
            )
        return mean.double()

    @property
    def regular(self) -> Tensor:
        """The matrix that is solved with, ``[d_ff, d_ff]`` float64 on the CPU."""
        matrix = self.matrix
        # A ridge far under every eigenvalue that the text determines; it only keeps directions that
        # no text ever used from dividing by zero.
        return matrix + 1e-6 * matrix.diagonal().mean() * torch.eye(len(matrix)).double()

    def export(self, path: Path) -> None:
        """Write the matrix as ROME's ``layer_stats`` does, to be read back with ``npz:PATH``.

        The file holds the sum ``mom2.mom2`` (float64), ``mom2.count`` and the identity. The count
        is the number of keys that could be read, or 1 where the matrix was itself imported.

        Raises:
            OptionError: the file cannot be written.
        """
        matrix = self.matrix
        count = 1 if self._spec.startswith("npz:") else sum(len(p) for p in self._pieces())
        arrays: dict[str, Any] = {
            "mom2.mom2": (matrix * count).numpy(),
            "mom2.count": np.array(count),
            "identity": np.array(json.dumps(self.identity)),
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                np.savez(file, **arrays)
        except OSError as error:
            raise OptionError(f"{path} cannot be written ({error}); name another file") from error

    @cached_property
    def _factor(self) -> Tensor:
        factor: Tensor
        factor, info = torch.linalg.cholesky_ex(self.regular)
        if int(info) != 0:
            raise OptionError(
                f"the covariance of layer {self._layer} from {self._spec} is not positive "
                "definite; use more text (mom2_n_tokens) or another corpus"
            )
        return factor

    def _pieces(self) -> list[list[int]]:
        tokenizer = self._stack.loaded.tokenizer
        pieces: list[list[int]] = []
        left = self._n_tokens
        for text in read_corpus(self._spec, self._stack, self._cache).texts:
            ids = tokenizer(text)["input_ids"]
            for start in range(0, len(ids), WINDOW):
                piece = ids[start : start + WINDOW][:left]
                if len(piece) > 1:
                    pieces.append(piece)
                    left -= len(piece)
        return pieces

    def _npz_path(self) -> Path:
        path = Path(self._spec.removeprefix("npz:")).expanduser()
        if not path.is_file():
            raise OptionError(f"mom2_corpus {self._spec}: there is no file {path}")
        return path

    def _imported(self) -> Tensor:
        path = self._npz_path()
        try:
            with np.load(path, allow_pickle=False) as file:
                held = dict(file)
            total, count = torch.from_numpy(held["mom2.mom2"]), float(held["mom2.count"])
        except (OSError, ValueError, TypeError, KeyError, BadZipFile) as error:
            raise OptionError(
                f"mom2_corpus {self._spec}: {path} is no covariance file ({error}); one holds the "
                "arrays mom2.mom2 and mom2.count, as ROME's and EasyEdit's layer_stats write them"
            ) from error
        matrix = total.double() / count
        width = self._stack.loaded.model.get_parameter(
            self._stack.loaded.down_proj_name(self._layer)
        ).shape[0 if self._stack.loaded.family.transposed else 1]
        if matrix.shape != (width, width):
            raise OptionError(
                f"{path} holds a matrix of {tuple(matrix.shape)}; layer {self._layer} of "
                f"{self._stack.loaded.card.name} needs {width} x {width}"
            )
        return matrix


@torch.no_grad()
def second_moment(
    stack: DecoderStack, layer: int, pieces: list[list[int]], *, token_budget: int = 4096
) -> tuple[Tensor, int]:
    """Sum of ``k k^T`` (float64, ``[d_ff, d_ff]``) and the number of keys, over all tokens."""
    module = stack.layers[layer].get_submodule(stack.loaded.family.down_proj)
    caught: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    total: Tensor | None = None
    count = 0
    try:
        for batch in batches([len(piece) for piece in pieces], token_budget):
            padded = pad([pieces[i] for i in batch], stack.device, left=False)
            stack.run(
                stack.embed(padded.ids, padded.positions),
                start=0,
                stop=layer + 1,
                positions=padded.positions,
                mask=causal_mask(padded.real),
            )
            keys = caught.pop()[padded.real].float()
            part = (keys.T @ keys).double().cpu()
            total = part if total is None else total + part
            count += len(keys)
    finally:
        handle.remove()
    if total is None:
        raise OptionError("the covariance's corpus holds no text; give one with mom2_corpus")
    return total, count
