"""The covariance of keys: what the closed form weighs other knowledge by.

``C = E[k k^T]`` over the inputs of a down projection on plain text (paper section A.2; 100,000
Wikipedia samples there). Kept on disk with the model's digest, the corpus, its size and seed; a
sequence of edits keeps the unedited model's covariance, as is usual. (For a chain that edits
layer L alone that is no approximation: no edit at L changes the inputs of L's down projection.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from editsuite.editors.corpus import read_corpus
from editsuite.editors.covariance_file import read_covariance, write_covariance
from editsuite.editors.moments import Moment, second_moments
from editsuite.engine import DecoderStack, one_thread
from editsuite.errors import OptionError
from editsuite.files import sha256_of
from editsuite.sealed import seal, unseal_known

#: Tokens of one sequence; longer texts are cut into pieces of this length.
WINDOW = 256
VERSION = 1


class CovarianceSource:
    """The covariance of one layer's keys: found on disk, imported, or computed when first used.

    Args:
        stack: the unedited model.
        layer: the layer whose down projection reads the keys.
        corpus: ``self``, ``file:PATH`` or ``npz:PATH`` (ROME's and EasyEdit's own files;
            ``{layer}`` in the path stands for the layer's number).
        n_tokens: tokens to read at most.
        cache: folder of the kept statistics.
    """

    def __init__(
        self, stack: DecoderStack, layer: int, corpus: str, n_tokens: int, cache: Path
    ) -> None:
        self._stack, self._layer, self._spec = stack, layer, corpus
        self._n_tokens, self._cache = n_tokens, cache

    @property
    def imported(self) -> bool:
        """Whether the matrix comes from a file instead of a text."""
        return self._spec.startswith("npz:")

    @cached_property
    def identity(self) -> Mapping[str, object]:
        """What the matrix was computed from; two equal identities mean the same matrix."""
        base = {"version": VERSION, "model": self._stack.loaded.digest, "layer": self._layer}
        if self.imported:
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
        return self.solve_many(key.double()[:, None])[:, 0].float().to(key.device)

    def solve_many(self, keys: Tensor) -> Tensor:
        """``C^-1 keys`` for ``[d_ff, n]`` float64, in float64 on the CPU."""
        solved: Tensor = torch.cholesky_solve(keys.cpu(), self._factor)
        return solved

    @cached_property
    def matrix(self) -> Tensor:
        """``[d_ff, d_ff]`` float64 on the CPU."""
        if self.imported:
            return self._imported()
        with self._lock():
            kept = self._kept()
            if kept is None:
                (moment,) = second_moments(self._stack, [self._layer], self._pieces())
                kept = self._keep(moment)
        return kept

    @cached_property
    def _place(self) -> tuple[Path, str]:
        """Folder and stem of the kept matrix."""
        key = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:32]
        folder = self._cache / "covariance"
        folder.mkdir(parents=True, exist_ok=True)
        return folder, key

    def _lock(self) -> FileLock:
        folder, key = self._place
        return FileLock(folder / f"{key}.lock")

    def _kept(self) -> Tensor | None:
        """The matrix on disk; what cannot be trusted is removed with a warning."""
        kept = unseal_known(*self._place, json.dumps(self.identity), what="covariance")
        return None if kept is None else kept["mom2"].double()

    def _keep(self, moment: Moment) -> Tensor:
        mean = (moment.total / moment.count).float()
        told = {"identity": json.dumps(self.identity), "tokens": str(moment.count)}
        seal(*self._place, {"mom2": mean}, told)
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
        count = 1 if self.imported else sum(len(p) for p in self._pieces())
        write_covariance(path, matrix, count, self.identity)

    @cached_property
    def _factor(self) -> Tensor:
        factor: Tensor
        with one_thread():
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
        spec = self._spec.removeprefix("npz:").replace("{layer}", str(self._layer))
        path = Path(spec).expanduser()
        if not path.is_file():
            raise OptionError(f"mom2_corpus {self._spec}: there is no file {path}")
        return path

    def _imported(self) -> Tensor:
        loaded = self._stack.loaded
        shape = loaded.down_proj_weight(self._layer).shape
        return read_covariance(
            self._npz_path(),
            width=shape[0 if loaded.family.transposed else 1],
            own={"model": loaded.digest, "layer": self._layer},
        )


def have_ready(sources: Sequence[CovarianceSource]) -> None:
    """Have the matrices of several layers, with one pass over the text for all that are missing.

    Args:
        sources: of one model and one corpus, layers ascending; the model must be unedited.
    """
    own = [source for source in sources if not source.imported]
    with ExitStack() as locks:
        for source in own:  # always in the order of layers, so that no two wait for each other
            locks.enter_context(source._lock())
        missing = [source for source in own if source._kept() is None]
        if missing:
            pieces = missing[0]._pieces()
            layers = [source._layer for source in missing]
            moments = second_moments(missing[0]._stack, layers, pieces)
            for source, moment in zip(missing, moments, strict=True):
                source._keep(moment)
    for source in sources:
        source.ready()
