"""ROME with one thing wrong: the key, the value's search, the closed form, the covariance."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from benchmarks.spoilt.entrant import Scene, recast
from editsuite.editors import LowRank, Update
from editsuite.editors.covariance import CovarianceSource
from editsuite.editors.lookup import LookupRow, LookupStates, lookup_rows, lookup_states
from editsuite.editors.readout import plain_readout, resumed_readout
from editsuite.editors.rome import BoundRome
from editsuite.editors.single import one_request
from editsuite.editors.value import find_value
from editsuite.facts import EditRequest

Rows = tuple[LookupRow, ...]


@dataclass(frozen=True)
class OpenRome(BoundRome):
    """ROME's edit, taken apart where it can be spoilt; as it stands it is ROME's, bit by bit."""

    def rows(self, rows: Rows) -> Rows:
        """The prompts as the search sees them; the last row is the essence's."""
        return rows

    def inserted(self, rows: Rows, states: LookupStates) -> LookupStates:
        """Keys and values as the closed form sees them."""
        return states

    def edit(self, requests: Sequence[EditRequest]) -> Update:
        """See ``BoundRome.edit``."""
        request, started = one_request(requests, method="rome"), time.perf_counter()
        rows = self.rows(lookup_rows(self.stack, request, self.prefixes))
        states = lookup_states(self.stack, rows, self.layer)
        way = resumed_readout if self.settings.resume else plain_readout
        readout = way(self.stack, states, self.layer)
        found = find_value(states, readout, self.settings, name=request.id)
        states = self.inserted(rows, states)
        factors, denominator = self._insert(request, states, found.delta)
        return Update(
            {self.parameters[0]: factors},
            self._record(request, states, found, factors, denominator, started),
        )


def earlier(row: LookupRow) -> LookupRow:
    """A row looked up one token earlier, where there is one."""
    return replace(row, lookup=max(row.lookup - 1, 0))


@dataclass(frozen=True)
class KeyBefore(OpenRome):
    """The key is read one token before the subject's last; the value is searched at the last."""

    def inserted(self, rows: Rows, states: LookupStates) -> LookupStates:
        """The keys of the token before."""
        before = lookup_states(self.stack, tuple(map(earlier, rows)), self.layer)
        return replace(states, keys=before.keys)


@dataclass(frozen=True)
class TokenBefore(OpenRome):
    """Key and value both belong to the token before the subject's last."""

    def rows(self, rows: Rows) -> Rows:
        """All rows a token earlier, the essence's too."""
        return tuple(map(earlier, rows))


@dataclass(frozen=True)
class PromptLast(OpenRome):
    """Key and value belong to the prompt's last token instead of the subject's."""

    def rows(self, rows: Rows) -> Rows:
        """Looked up right before the target; the essence's row stays."""
        return (*(replace(row, lookup=row.context - 1) for row in rows[:-1]), rows[-1])


@dataclass(frozen=True)
class OtherTokens(OpenRome):
    """The search asks for the token whose id is one higher than the target's."""

    def rows(self, rows: Rows) -> Rows:
        """Other targets, behind the same words."""
        size = self.stack.loaded.model.config.vocab_size
        return tuple(replace(r, target=tuple((t + 1) % size for t in r.target)) for r in rows)


@dataclass(frozen=True)
class AskedEarly(OpenRome):
    """Each target token is asked for one position early, but not before the subject ends.

    Where the target follows the subject at once there is no earlier position, and nothing is
    wrong.
    """

    def rows(self, rows: Rows) -> Rows:
        """A context that is one token shorter than it is."""
        early = (replace(r, context=max(r.context - 1, r.lookup + 1)) for r in rows[:-1])
        return (*early, rows[-1])


@dataclass(frozen=True)
class Undivided(OpenRome):
    """The closed form's denominator is left out."""

    def _insert(
        self, request: EditRequest, states: LookupStates, delta: Tensor
    ) -> tuple[LowRank, float]:
        factors, denominator = super()._insert(request, states, delta)
        return LowRank(factors.output * denominator, factors.input), denominator


@dataclass(frozen=True)
class Uninverted:
    """A covariance that multiplies where it should divide: ``C k`` for ``C^-1 k``.

    Attributes:
        source: the covariance.
    """

    source: CovarianceSource

    @property
    def identity(self) -> Mapping[str, object]:
        """The covariance's own."""
        return self.source.identity

    def ready(self) -> None:
        """Have the matrix at hand."""
        self.source.ready()

    def solve(self, key: Tensor) -> Tensor:
        """``C key`` for ``[d_ff]``, in float64, returned in float32."""
        found: Tensor = self.source.regular @ key.double().cpu()
        return found.float().to(key.device)


def key_before(bound: BoundRome, _: Scene) -> BoundRome:
    """See ``KeyBefore``."""
    return recast(KeyBefore, bound)


def token_before(bound: BoundRome, _: Scene) -> BoundRome:
    """See ``TokenBefore``."""
    return recast(TokenBefore, bound)


def prompt_last(bound: BoundRome, _: Scene) -> BoundRome:
    """See ``PromptLast``."""
    return recast(PromptLast, bound)


def other_tokens(bound: BoundRome, _: Scene) -> BoundRome:
    """See ``OtherTokens``."""
    return recast(OtherTokens, bound)


def asked_early(bound: BoundRome, _: Scene) -> BoundRome:
    """See ``AskedEarly``."""
    return recast(AskedEarly, bound)


def undivided(bound: BoundRome, _: Scene) -> BoundRome:
    """See ``Undivided``."""
    return recast(Undivided, bound)


def uninverted(bound: BoundRome, _: Scene) -> BoundRome:
    """See ``Uninverted``."""
    assert bound.covariance is not None
    return replace(bound, covariance=Uninverted(bound.covariance))  # type: ignore[arg-type]


def next_covariance(bound: BoundRome, scene: Scene) -> BoundRome:
    """The covariance is that of the layer above."""
    told = bound.settings
    other = CovarianceSource(
        bound.stack, bound.layer + 1, told.mom2_corpus, told.mom2_n_tokens, scene.cache
    )
    return replace(bound, covariance=other)
